/* Of fg_gemm_impl.h, once per dtype: one row of A times B in panels. */

/* One row times B in panels, C += a B: several panels side by side, for the sums of one alone would
 * wait for each other. */
FG_INLINE void FG_(fg_row)(const int side, const int nv, ptrdiff_t K, const REAL *a, const REAL *b,
                           REAL *c, ptrdiff_t cols, const REAL *plus)
{
    VEC acc[4][FG_NV];
    UNROLLED for (int s = 0; s < side; s++)
        UNROLLED for (int v = 0; v < nv; v++) acc[s][v] = (VEC){0};
    for (ptrdiff_t k = 0; k < K; k++) {
        const VEC ak = a[k] - (VEC){0};
        UNROLLED for (int s = 0; s < side; s++)
            UNROLLED for (int v = 0; v < nv; v++)
                acc[s][v] += ak * FG_(fg_load)(b + (s * K + k) * nv * W + v * W);
    }
    UNROLLED for (int s = 0; s < side; s++)
        UNROLLED for (int v = 0; v < nv; v++) {
            const ptrdiff_t at = (s * nv + v) * W, left = cols - at;
            if (left >= W) {
                if (plus) acc[s][v] += FG_(fg_load)(plus + at);
                *(VEC *)(c + at) = acc[s][v];
            } else {
                if (plus) acc[s][v] += FG_(fg_load_part)(plus + at, left);
                FG_(fg_store_part)(c + at, acc[s][v], left);
            }
        }
}

/* Vectors of columns that the next panels side by side have; the last four are two panels. */
FG_INLINE ptrdiff_t FG_(fg_vectors_of_row)(ptrdiff_t left)
{
    for (int side = 4; side > 1; side--)
        if (left >= side * FG_NV && left != side * FG_NV + 1) return side * FG_NV;
    return left < FG_NV + 2 ? left : FG_NV;
}

static void FG_(fg_multiply_row)(const FG_(fg_gemm) *g)
{
    const REAL *b = g->b;
    for (ptrdiff_t k0 = 0; k0 < g->K; k0 += FG_KC) {
        const ptrdiff_t K = g->K - k0 < FG_KC ? g->K - k0 : FG_KC;
        const REAL *const a = g->a + k0;
        const REAL *const plus = g->accumulate || k0 ? g->c : g->bias;
        for (ptrdiff_t n = 0, took; n < g->N; n += took * W) {
            const ptrdiff_t cols = g->N - n;
            const REAL *const add = plus ? plus + n : NULL;
            took = FG_(fg_vectors_of_row)((cols + W - 1) / W);
            switch (took) {
            case 4 * FG_NV: FG_(fg_row)(4, FG_NV, K, a, b, g->c + n, cols, add); break;
            case 3 * FG_NV: FG_(fg_row)(3, FG_NV, K, a, b, g->c + n, cols, add); break;
            case 2 * FG_NV: FG_(fg_row)(2, FG_NV, K, a, b, g->c + n, cols, add); break;
            case FG_NV + 1: FG_(fg_row)(2, 2, K, a, b, g->c + n, cols, add); break;
            case FG_NV: FG_(fg_row)(1, FG_NV, K, a, b, g->c + n, cols, add); break;
            case 2: FG_(fg_row)(1, 2, K, a, b, g->c + n, cols, add); break;
            default: FG_(fg_row)(1, 1, K, a, b, g->c + n, cols, add);
            }
            b += took * W * K;
        }
    }
}
