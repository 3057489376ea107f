/* Body of fg_gemm.h, once per dtype. */
#define REAL FG_REAL
#define VEC FG_CAT(fg_vec, FG_SUFFIX)
#define W FG_CAT(FG_LANES, FG_SUFFIX)
#define NR (FG_NV * W)

/* Operands: a[m,k] = a[m*a_row + k*a_col], and so on; of A's strides, and of B's, one is 1. bias is
 * added to every row and may be NULL; with accumulate, C is added to instead. */
typedef struct {
    ptrdiff_t M, N, K;
    const REAL *a;
    ptrdiff_t a_row, a_col;
    const REAL *b;
    ptrdiff_t b_row, b_col;
    REAL *c;
    ptrdiff_t c_row;
    const REAL *bias;
    int accumulate;
    ptrdiff_t all_rows; /* of the whole product, whose part this is: it decides the order of sums */
    int packed; /* b is what fg_pack made of B; b_row and b_col are not read */
    int *not_finite; /* becomes 1 if an element of C is infinite or NaN; may be NULL */
} FG_(fg_gemm);

FG_INLINE VEC FG_(fg_load)(const REAL *p) { return *(const VEC *)p; }

/* ---- the register tile ------------------------------------------------------------------- */

/* c = plus + a b for mr rows and cols columns, (nv-1)*W < cols <= nv*W. plus is C itself or a bias,
 * with rows plus_row apart, or NULL. The k loop holds nv vectors of B and mr*nv accumulators; mr
 * and nv are literals at every call, so that all of it lives in registers; the loops over them are
 * told to unroll, or GCC writes every accumulator to the stack too. C is fetched while the k loop
 * runs and met only after it. */
#define UNROLLED _Pragma("GCC unroll 16")
FG_INLINE void FG_(fg_tile)(const int mr, const int nv, ptrdiff_t K, const REAL *a, ptrdiff_t a_row,
                            ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c,
                            ptrdiff_t c_row, ptrdiff_t cols, const REAL *plus, ptrdiff_t plus_row,
                            VEC *not_finite, int fetch)
{
    VEC acc[FG_MOST_ROWS][FG_NV];
    const ptrdiff_t tail = cols - (nv - 1) * W; /* columns of the last vector */
    UNROLLED for (int v = 0; v < nv; v++)
        UNROLLED for (int r = 0; r < mr; r++) acc[r][v] = (VEC){0};
    ptrdiff_t part = !fetch ? 0 : K / mr < 16 ? K / mr : 16;
    for (int row = fetch ? 0 : mr; row <= mr; row++) {
        if (row < mr)
            UNROLLED for (int v = 0; v < nv; v++) __builtin_prefetch(c + row * c_row + v * W, 1);
        else
            part = K - mr * part;
        for (ptrdiff_t k = 0; k < part; k++) {
            VEC bk[FG_NV];
            UNROLLED for (int v = 0; v < nv; v++) bk[v] = FG_(fg_load)(b + v * W);
            UNROLLED for (int r = 0; r < mr; r++) {
                /* x - 0 is x, and compiles to a broadcast */
                const VEC ar = a[r * a_row] - (VEC){0};
                UNROLLED for (int v = 0; v < nv; v++) acc[r][v] += ar * bk[v];
            }
            a += a_col;
            b += b_row;
        }
    }
    UNROLLED for (int v = 0; v < nv; v++)
        UNROLLED for (int r = 0; r < mr; r++) {
            REAL *const to = c + r * c_row + v * W;
            const REAL *const from = plus + r * plus_row + v * W;
            if (v < nv - 1 || tail == W) {
                if (plus) acc[r][v] += FG_(fg_load)(from);
                *(VEC *)to = acc[r][v];
            } else {
                if (plus) acc[r][v] += FG_(fg_load_part)(from, tail);
                FG_(fg_store_part)(to, acc[r][v], tail);
            }
        }
    if (not_finite) /* 0 x is 0 or NaN; a sum for each v keeps the chains short */
        UNROLLED for (int v = 0; v < nv; v++) {
            VEC bad = {0};
            UNROLLED for (int r = 0; r < mr; r++) bad += acc[r][v] * 0;
            *not_finite += bad;
        }
}

/* One function per tile shape, and per way A is stored: "rows" has a[m,k] at m*stride + k,
 * "columns" at m + k*stride. */
#define ARGUMENTS                                                                              \
    ptrdiff_t K, const REAL *a, ptrdiff_t stride, const REAL *b, ptrdiff_t b_row, REAL *c,      \
        ptrdiff_t c_row, ptrdiff_t cols, const REAL *plus, ptrdiff_t plus_row, VEC *not_finite, \
        int fetch
#define TILE_AS(name, mr, nv, a_row, a_col)                                      \
    static void FG_(name)(ARGUMENTS)                                                       \
    {                                                                                           \
        FG_(fg_tile)(mr, nv, K, a, a_row, a_col, b, b_row, c, c_row, cols, plus, plus_row,      \
                     not_finite, fetch);                                                   \
    }
#define TILE(mr, nv)                                                  \
    TILE_AS(fg_rows_##mr##_##nv, mr, nv, stride, 1)    \
    TILE_AS(fg_columns_##mr##_##nv, mr, nv, 1, stride)
#define LOW(mr) TILE(mr, 1) TILE(mr, 2) TILE(mr, 3)
#define HIGH(mr) TILE(mr, 1) TILE(mr, 2)
#if FG_WIDE_REGS
LOW(1) LOW(2) LOW(3) LOW(4) LOW(5) LOW(6) LOW(7) LOW(8) HIGH(9) HIGH(10) HIGH(11) HIGH(12)
#else
LOW(1) LOW(2) LOW(3) LOW(4) HIGH(5) HIGH(6)
#endif
#undef LOW
#undef HIGH
#undef TILE
#undef TILE_AS

#define LOW(way, mr) {FG_(fg_##way##_##mr##_1), FG_(fg_##way##_##mr##_2), FG_(fg_##way##_##mr##_3)}
#define HIGH(way, mr) {FG_(fg_##way##_##mr##_1), FG_(fg_##way##_##mr##_2)}
#define FOUR(way) LOW(way, 1), LOW(way, 2), LOW(way, 3), LOW(way, 4)
#if FG_WIDE_REGS
#define ALL(way)                                                                              \
    {FOUR(way), LOW(way, 5), LOW(way, 6), LOW(way, 7), LOW(way, 8), HIGH(way, 9),             \
     HIGH(way, 10), HIGH(way, 11), HIGH(way, 12)}
#else
#define ALL(way) {FOUR(way), HIGH(way, 5), HIGH(way, 6)}
#endif
typedef void (*FG_(fg_tile_fn))(ARGUMENTS);
static const FG_(fg_tile_fn) FG_(fg_tiles)[2][FG_MOST_ROWS][FG_NV] = {ALL(rows), ALL(columns)};
#undef ALL
#undef FOUR
#undef HIGH
#undef LOW
#undef ARGUMENTS

/* ---- packing ----------------------------------------------------------------------------- */

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

FG_INLINE ptrdiff_t FG_(fg_rows_of_tile)(ptrdiff_t left, int nv)
{
    /* the last two tiles share their rows: 8 + 1 rows as 5 + 4 keep the multipliers busy */
    const ptrdiff_t most = FG_MR(nv);
    return left >= 2 * most || left == most ? most : left > most ? (left + 1) / 2 : left;
}

/* Vectors of columns of the next panel. The last four are two panels of two, for one vector alone
 * has too little to multiply with what it loads. */
FG_INLINE int FG_(fg_vectors_of_panel)(ptrdiff_t cols)
{
    const ptrdiff_t left = (cols + W - 1) / W;
    return left == FG_NV + 1 ? 2 : left < FG_NV ? (int)left : FG_NV;
}

/* ---- the product ------------------------------------------------------------------------- */

/* Few rows against B stored by columns: dot products along k, four columns at a time. */
static void FG_(fg_dot_product)(const FG_(fg_gemm) *g)
{
    for (ptrdiff_t n = 0; n < g->N; n += 4) {
        const ptrdiff_t cols = g->N - n < 4 ? g->N - n : 4;
        for (ptrdiff_t m = 0; m < g->M; m++) {
            const REAL *a = g->a + m * g->a_row, *b[4];
            VEC acc[4] = {{0}};
            for (int j = 0; j < 4; j++) b[j] = g->b + (n + (j < cols ? j : 0)) * g->b_col;
            ptrdiff_t k = 0;
            for (; k + W <= g->K; k += W)
                for (int j = 0; j < 4; j++) acc[j] += FG_(fg_load)(a + k) * FG_(fg_load)(b[j] + k);
            if (k < g->K)
                for (int j = 0; j < 4; j++)
                    acc[j] += FG_(fg_load_part)(a + k, g->K - k)
                              * FG_(fg_load_part)(b[j] + k, g->K - k);
            for (int j = 0; j < cols; j++) {
                REAL sum = acc[j][0];
                for (int i = 1; i < W; i++) sum += acc[j][i];
                REAL *c = g->c + m * g->c_row + n + j;
                *c = g->accumulate ? *c + sum : g->bias ? sum + g->bias[n + j] : sum;
                if (g->not_finite && !(*c - *c == 0)) *g->not_finite = 1;
            }
        }
    }
}

/* Reals of scratch that fg_multiply needs: one panel of B and one block of A. */
enum { FG_(FG_SCRATCH) = NR * FG_KC + (FG_MC + FG_PAD) * (FG_KC + FG_PAD) };

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

static inline void FG_(fg_multiply)(const FG_(fg_gemm) *g, REAL *scratch)
{
    const int by_columns = g->a_col != 1, by_rows_b = g->b_col == 1;
    const ptrdiff_t stride = by_columns ? g->a_col : g->a_row, size = sizeof(REAL);
    const ptrdiff_t most = FG_MR(FG_NV);
    REAL *const panel = scratch, *const block = scratch + NR * FG_KC;
    if (g->K == 0 && g->accumulate) return;
    /* no size that threads split may decide this, for it decides the order of sums */
    const ptrdiff_t dot_rows = g->K < FG_DOT_LONG ? FG_DOT_ROWS : FG_DOT_ROWS_LONG;
    if (!g->packed && !by_rows_b && !by_columns && g->all_rows <= dot_rows) {
        FG_(fg_dot_product)(g);
        return;
    }
    /* B by rows is its own panel when few rows of A pass over it, or when all of it is near */
    const int in_place = by_rows_b && (g->M <= most || g->K * g->b_row * size <= FG_NEAR);
    /* a copy of A pays where many panels pass over rows that the cache cannot hold at once */
    const int copy_a = g->N >= 4 * NR
                       && (by_columns ? g->K >= 64 && stride * size >= 1024
                                      : g->K > FG_KC && stride * size % 1024 == 0);
    /* a long sum over columns: a block of C stays in the cache while A and B pass by once */
    const int pass_by = by_columns && g->K > FG_KC;
    const ptrdiff_t depth = pass_by ? FG_KC_LONG : FG_KC;
    const int fetch = g->M * g->N * size > FG_NEAR; /* a smaller C is in L2 anyway */
    VEC bad = {0};
    const REAL *ready = g->b; /* where the next panel lies, if packed beforehand */
    const ptrdiff_t tiles = (g->M + most - 1) / most;
    ptrdiff_t fit = FG_MC / most / (1 + by_columns);
    if (pass_by && fit * most * g->N * size < FG_C_BYTES)
        fit = FG_C_BYTES / (g->N * size) < FG_MC_LONG ? FG_C_BYTES / (g->N * size) / most
                                                       : FG_MC_LONG / most;
    const ptrdiff_t blocks = (tiles + fit - 1) / fit; /* of about the same height */
    const ptrdiff_t block_rows = blocks ? (tiles + blocks - 1) / blocks * most : 0;
    for (ptrdiff_t m0 = 0; m0 < g->M; m0 += block_rows) {
        const ptrdiff_t M = g->M - m0 < block_rows ? g->M - m0 : block_rows;
        ptrdiff_t k0 = 0;
        ready = g->b;
        do {
            const ptrdiff_t K = g->K - k0 < depth ? g->K - k0 : depth;
            const int add_c = g->accumulate || k0 > 0;
            const REAL *const plus = add_c ? g->c : g->bias;
            const ptrdiff_t plus_row = add_c ? g->c_row : 0;
            VEC *const not_finite = g->not_finite && k0 + K == g->K ? &bad : NULL;
            const REAL *a = g->a + m0 * g->a_row + k0 * g->a_col;
            ptrdiff_t a_stride = stride;
            if (copy_a) {
                a_stride = by_columns ? FG_(fg_copy_a)(K, M, a, stride, block)
                                      : FG_(fg_copy_a)(M, K, a, stride, block);
                a = block;
            }
            for (ptrdiff_t n = 0, cols; n < g->N; n += cols) {
                const int nv = FG_(fg_vectors_of_panel)(g->N - n);
                const REAL *b = panel;
                cols = g->N - n < nv * W ? g->N - n : nv * W;
                ptrdiff_t b_row = nv * W;
                if (g->packed) {
                    b = ready;
                    ready += K * nv * W;
                } else if (in_place && cols == nv * W) {
                    b = g->b + k0 * g->b_row + n;
                    b_row = g->b_row;
                } else {
                    FG_(fg_pack_panel)(g, k0, K, n, cols, panel);
                }
                for (ptrdiff_t m = 0, mr; m < M; m += mr) {
                    mr = FG_(fg_rows_of_tile)(M - m, nv);
                    const REAL *const from = a + (by_columns ? m : m * a_stride);
                    REAL *const c = g->c + (m0 + m) * g->c_row + n;
                    const REAL *const add = plus ? plus + (m0 + m) * plus_row + n : NULL;
                    FG_(fg_tiles)[by_columns][mr - 1][nv - 1](K, from, a_stride, b, b_row, c,
                                                              g->c_row, cols, add, plus_row,
                                                              not_finite, fetch);
                }
            }
            k0 += K;
        } while (k0 < g->K);
    }
    for (int i = 0; i < W; i++)
        if (!(bad[i] == 0)) *g->not_finite = 1;
}

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

/* The same product as fg_multiply, for B in panels and rows of A; no copy of it for each caller. */
static __attribute__((noinline)) void FG_(fg_multiply_panels)(const FG_(fg_gemm) *g, REAL *scratch)
{
    if (g->M == 1) {
        FG_(fg_multiply_row)(g);
    } else if (g->M) {
        FG_(fg_gemm) rows = *g;
        rows.packed = rows.a_col = 1; /* known here, so that the other ways are not compiled */
        FG_(fg_multiply)(&rows, scratch);
    }
}

#undef UNROLLED
#undef REAL
#undef VEC
#undef W
#undef NR
