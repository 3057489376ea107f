/* Of fg_gemm_impl.h, once per dtype: panels of B, and copies of A. */

/* panel[k, 0:nv*W] = b[k, 0:cols], padded with zeros; b stored by rows. */
static void FG_(fg_pack_rows)(ptrdiff_t K, ptrdiff_t cols, int nv, const REAL *b, ptrdiff_t b_row,
                              REAL *panel)
{
    const ptrdiff_t last = (nv - 1) * W; /* where the vector starts that may not be full */
    for (ptrdiff_t k = 0; k < K; k++, b += b_row, panel += nv * W) {
        if (cols == nv * W) {
            for (int v = 0; v < nv; v++) *(VEC *)(panel + v * W) = FG_(fg_load)(b + v * W);
        } else {
            for (int v = 0; v < nv - 1; v++) *(VEC *)(panel + v * W) = FG_(fg_load)(b + v * W);
            *(VEC *)(panel + last) = FG_(fg_load_part)(b + last, cols - last);
        }
    }
}

/* The same for b stored by columns: b[k,j] = b[k + j*b_col]. Blocks of W x W are transposed in
 * registers: element by element the packing would cost half of the product at 64 rows. */
static void FG_(fg_pack_columns)(ptrdiff_t K, ptrdiff_t cols, int nv, const REAL *b,
                                 ptrdiff_t b_col, REAL *panel)
{
    for (int v = 0; v < nv; v++) {
        const REAL *src = b + v * W * b_col;
        const ptrdiff_t filled = cols - v * W < W ? cols - v * W : W;
        ptrdiff_t k = 0;
        for (; k < K; k += W) {
            const ptrdiff_t depth = K - k < W ? K - k : W;
            VEC row[W];
            if (filled == W && depth == W) {
                for (int j = 0; j < W; j++) row[j] = FG_(fg_load)(src + j * b_col + k);
            } else {
                for (int j = 0; j < W; j++) {
                    row[j] = (VEC){0};
                    if (j < filled)
                        row[j] = depth == W ? FG_(fg_load)(src + j * b_col + k)
                                            : FG_(fg_load_part)(src + j * b_col + k, depth);
                }
            }
            FG_CAT(FG_TRANSPOSE, FG_SUFFIX)(row)
            REAL *dst = panel + k * nv * W + v * W;
            for (int j = 0; j < W; j++) /* unrolled, so that rows stay in registers */
                if (j < depth) *(VEC *)(dst + j * nv * W) = row[FG_CAT(FG_ROW, FG_SUFFIX)(j)];
        }
    }
}

static void FG_(fg_pack_panel)(const FG_(fg_gemm) *g, ptrdiff_t k0, ptrdiff_t K, ptrdiff_t n,
                               ptrdiff_t cols, REAL *panel)
{
    const REAL *b = g->b + k0 * g->b_row + n * g->b_col;
    const int nv = (int)((cols + W - 1) / W);
    if (g->b_col == 1) FG_(fg_pack_rows)(K, cols, nv, b, g->b_row, panel);
    else FG_(fg_pack_columns)(K, cols, nv, b, g->b_col, panel);
}

/* copy[r, 0:n] = a[r, 0:n], and the rows' new distance: an odd number of cache lines. Rows that lie
 * a multiple of 1 KiB apart would throw each other, and the panel, out of the cache's sets. */
static ptrdiff_t FG_(fg_copy_a)(ptrdiff_t rows, ptrdiff_t n, const REAL *a, ptrdiff_t stride,
                                REAL *copy)
{
    const ptrdiff_t line = 64 / sizeof(REAL), wide = (((n + line - 1) / line) | 1) * line;
    for (ptrdiff_t r = 0; r < rows; r++, a += stride, copy += wide)
        memcpy(copy, a, (size_t)n * sizeof(REAL));
    return wide;
}

/* Vectors of columns of the next panel. The last four are two panels of two, for one vector alone
 * has too little to multiply with what it loads. */
FG_INLINE int FG_(fg_vectors_of_panel)(ptrdiff_t cols)
{
    const ptrdiff_t left = (cols + W - 1) / W;
    return left == FG_NV + 1 ? 2 : left < FG_NV ? (int)left : FG_NV;
}

/* All panels of B, for products with the same B to come: K * (N rounded up to whole vectors). Of
 * those who share the work this one makes each panel whose number has its remainder. */
static void FG_(fg_pack)(const FG_(fg_gemm) *g, REAL *panels, int rank, int used)
{
    int item = 0;
    for (ptrdiff_t k0 = 0; k0 < g->K; k0 += FG_KC) {
        const ptrdiff_t K = g->K - k0 < FG_KC ? g->K - k0 : FG_KC;
        for (ptrdiff_t n = 0, cols; n < g->N; n += cols) {
            const int nv = FG_(fg_vectors_of_panel)(g->N - n);
            cols = g->N - n < nv * W ? g->N - n : nv * W;
            if (item++ % used == rank) FG_(fg_pack_panel)(g, k0, K, n, cols, panels);
            panels += K * nv * W;
        }
    }
}
