/* Body of fg_gemm.h, once per dtype. */
#define REAL FG_REAL
#define VEC FG_CAT(fg_vec, FG_SUFFIX)
#define W FG_CAT(FG_LANES, FG_SUFFIX)
#define NR (2 * W)

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

/* Where the next panel of B lies in memory. It is fetched bit by bit while this one is multiplied:
 * every 16 k `rows` rows, `row` bytes apart, `bytes` of each; then on by `step` bytes. Fetched in
 * one go, between two tiles, it would stop the multipliers. */
typedef struct {
    const char *at;
    ptrdiff_t row, rows, bytes, step;
} FG_(fg_ahead);

/* c = plus + a b for mr rows and cols columns, (nv-1)*W < cols <= nv*W. plus is C itself or a bias,
 * with rows plus_row apart, or NULL. The k loop holds nv vectors of B and mr*nv accumulators; mr
 * and nv are literals at every call, so that all of it lives in registers. C is fetched while the
 * loop runs and met only after it. */
FG_INLINE void FG_(fg_tile)(const int mr, const int nv, ptrdiff_t K, const REAL *a, ptrdiff_t a_row,
                            ptrdiff_t a_col, const REAL *b, ptrdiff_t b_row, REAL *c,
                            ptrdiff_t c_row, ptrdiff_t cols, const REAL *plus, ptrdiff_t plus_row,
                            VEC *not_finite, const FG_(fg_ahead) *ahead)
{
    VEC acc[FG_MR][2];
    const ptrdiff_t tail = cols - (nv - 1) * W; /* columns of the last vector */
    for (int v = 0; v < nv; v++)
        for (int r = 0; r < mr; r++) {
            acc[r][v] = (VEC){0};
            __builtin_prefetch(c + r * c_row + v * W, 1);
        }
    for (ptrdiff_t k0 = 0; k0 < K; k0 += ahead ? 16 : K) {
        const ptrdiff_t depth = ahead && K - k0 > 16 ? 16 : K - k0;
        if (ahead)
            for (ptrdiff_t r = 0; r < ahead->rows; r++)
                for (ptrdiff_t i = 0; i < ahead->bytes; i += 64)
                    __builtin_prefetch(ahead->at + k0 / 16 * ahead->step + r * ahead->row + i);
        for (ptrdiff_t k = 0; k < depth; k++) {
            VEC bk[2];
            for (int v = 0; v < nv; v++) bk[v] = FG_(fg_load)(b + v * W);
            for (int r = 0; r < mr; r++) {
                /* x - 0 is x, and compiles to a broadcast */
                const VEC ar = a[r * a_row] - (VEC){0};
                for (int v = 0; v < nv; v++) acc[r][v] += ar * bk[v];
            }
            a += a_col;
            b += b_row;
        }
    }
    for (int v = 0; v < nv; v++)
        for (int r = 0; r < mr; r++) {
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
    if (not_finite) { /* x - x is 0 or NaN; the adders idle while the multipliers work */
        VEC bad = *not_finite;
        for (int v = 0; v < nv; v++)
            for (int r = 0; r < mr; r++) bad += acc[r][v] - acc[r][v];
        *not_finite = bad;
    }
}

/* One function per tile shape, and per way A is stored: "rows" has a[m,k] at m*stride + k,
 * "columns" at m + k*stride. */
#define ARGUMENTS                                                                              \
    ptrdiff_t K, const REAL *a, ptrdiff_t stride, const REAL *b, ptrdiff_t b_row, REAL *c,      \
        ptrdiff_t c_row, ptrdiff_t cols, const REAL *plus, ptrdiff_t plus_row, VEC *not_finite
#define TILE_AS(name, mr, nv, a_row, a_col, ahead, MORE)                                        \
    static void FG_(name)(ARGUMENTS MORE)                                                       \
    {                                                                                           \
        FG_(fg_tile)(mr, nv, K, a, a_row, a_col, b, b_row, c, c_row, cols, plus, plus_row,      \
                     not_finite, ahead);                                                        \
    }
#define NOTHING
#define TILE(mr, nv)                                                  \
    TILE_AS(fg_rows_##mr##_##nv, mr, nv, stride, 1, NULL, NOTHING)    \
    TILE_AS(fg_columns_##mr##_##nv, mr, nv, 1, stride, NULL, NOTHING)
#define TILES(mr) TILE(mr, 1) TILE(mr, 2)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if FG_MR == 12
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#endif
/* the full tile for B that comes from memory */
#define AHEAD , const FG_(fg_ahead) *ahead
TILE_AS(fg_rows_far, FG_MR, 2, stride, 1, ahead, AHEAD)
TILE_AS(fg_columns_far, FG_MR, 2, 1, stride, ahead, AHEAD)
#undef AHEAD
#undef NOTHING
#undef TILES
#undef TILE
#undef TILE_AS

#define PAIR(way, mr) {FG_(fg_##way##_##mr##_1), FG_(fg_##way##_##mr##_2)}
#define SIX(way, o, a1, a2, a3, a4, a5, a6) \
    PAIR(way, a1), PAIR(way, a2), PAIR(way, a3), PAIR(way, a4), PAIR(way, a5), PAIR(way, a6)
#if FG_MR == 12
#define ALL(way) SIX(way, 0, 1, 2, 3, 4, 5, 6), SIX(way, 6, 7, 8, 9, 10, 11, 12)
#else
#define ALL(way) SIX(way, 0, 1, 2, 3, 4, 5, 6)
#endif
typedef void (*FG_(fg_tile_fn))(ARGUMENTS);
static const FG_(fg_tile_fn) FG_(fg_tiles)[2][FG_MR][2] = {{ALL(rows)}, {ALL(columns)}};
#undef ALL
#undef SIX
#undef PAIR
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
            if (nv == 2) *(VEC *)panel = FG_(fg_load)(b);
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
    const int nv = cols > W ? 2 : 1;
    if (g->b_col == 1) FG_(fg_pack_rows)(K, cols, nv, b, g->b_row, panel);
    else FG_(fg_pack_columns)(K, cols, nv, b, g->b_col, panel);
}

/* copy[r, 0:n] = a[r, 0:n] at a row length that spreads over the cache's sets: lines of a tile
 * that lie a multiple of 2 KiB apart would throw each other, and the panel, out of L1. */
static void FG_(fg_copy_a)(ptrdiff_t rows, ptrdiff_t n, const REAL *a, ptrdiff_t stride, REAL *copy,
                           ptrdiff_t copy_stride)
{
    for (ptrdiff_t r = 0; r < rows; r++, a += stride, copy += copy_stride)
        memcpy(copy, a, (size_t)n * sizeof(REAL));
}

FG_INLINE ptrdiff_t FG_(fg_rows_of_tile)(ptrdiff_t left)
{
    /* the last two tiles share their rows: 12 + 1 rows as 7 + 6 keep the multipliers busy */
    return left >= 2 * FG_MR || left == FG_MR ? FG_MR : left > FG_MR ? (left + 1) / 2 : left;
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
enum { FG_(FG_SCRATCH) = NR * FG_KC + FG_MC * (FG_KC + FG_PAD) };

/* All panels of B, for products with the same B to come: K * (N rounded up to whole vectors). */
static inline void FG_(fg_pack)(const FG_(fg_gemm) *g, REAL *panels)
{
    for (ptrdiff_t k0 = 0; k0 < g->K; k0 += FG_KC) {
        const ptrdiff_t K = g->K - k0 < FG_KC ? g->K - k0 : FG_KC;
        for (ptrdiff_t n = 0; n < g->N; n += NR) {
            const ptrdiff_t cols = g->N - n < NR ? g->N - n : NR;
            const int nv = cols > W ? 2 : 1;
            FG_(fg_pack_panel)(g, k0, K, n, cols, panels);
            panels += K * nv * W;
        }
    }
}

/* Spreads fetching the panel at column n over the tiles that are multiplied before it. */
static FG_(fg_ahead) FG_(fg_look_ahead)(const FG_(fg_gemm) *g, ptrdiff_t k0, ptrdiff_t n,
                                        ptrdiff_t tiles)
{
    const ptrdiff_t size = sizeof(REAL), cols = g->N - n < NR ? g->N - n : NR;
    const int by_rows = g->b_col == 1;
    FG_(fg_ahead) ahead;
    ahead.at = (const char *)(g->b + k0 * g->b_row + n * g->b_col);
    ahead.row = (by_rows ? g->b_row : g->b_col) * size;
    ahead.rows = ((by_rows ? 16 : cols) + tiles - 1) / tiles;
    ahead.bytes = (by_rows ? cols : 16) * size;
    ahead.step = by_rows ? ahead.rows * ahead.row : ahead.bytes;
    return ahead;
}

static inline void FG_(fg_multiply)(const FG_(fg_gemm) *g, REAL *scratch)
{
    const int by_columns = g->a_col != 1, by_rows_b = g->b_col == 1;
    const ptrdiff_t stride = by_columns ? g->a_col : g->a_row, size = sizeof(REAL);
    REAL *const panel = scratch, *const block = scratch + NR * FG_KC;
    if (g->K == 0 && g->accumulate) return;
    /* no size that threads split may decide this, for it decides the order of sums */
    const ptrdiff_t dot_rows = g->K < FG_DOT_LONG ? FG_DOT_ROWS : FG_DOT_ROWS_LONG;
    if (!g->packed && !by_rows_b && !by_columns && g->all_rows <= dot_rows) {
        FG_(fg_dot_product)(g);
        return;
    }
    /* B by rows is its own panel when few rows of A pass over it, or when all of it fits L2 */
    const int in_place = by_rows_b && (g->M <= FG_MR || g->K * g->b_row * size <= 262144);
    const int far = !g->packed && !in_place && g->N * g->K * size >= FG_FAR;
    const int copy_a = g->N >= 4 * NR && !by_columns && g->K > FG_KC && stride * size % 2048 == 0;
    VEC bad = {0};
    const REAL *ready = g->b; /* where the next panel lies, if packed beforehand */
    const ptrdiff_t blocks = (g->M + FG_MC - 1) / FG_MC, tiles = (g->M + FG_MR - 1) / FG_MR;
    const ptrdiff_t block_rows = blocks ? (tiles + blocks - 1) / blocks * FG_MR : 0;
    for (ptrdiff_t m0 = 0; m0 < g->M; m0 += block_rows) { /* blocks of about the same height */
        const ptrdiff_t M = g->M - m0 < block_rows ? g->M - m0 : block_rows;
        ptrdiff_t k0 = 0;
        ready = g->b;
        do {
            const ptrdiff_t K = g->K - k0 < FG_KC ? g->K - k0 : FG_KC;
            const int add_c = g->accumulate || k0 > 0;
            const REAL *const plus = add_c ? g->c : g->bias;
            const ptrdiff_t plus_row = add_c ? g->c_row : 0;
            VEC *const not_finite = g->not_finite && k0 + K == g->K ? &bad : NULL;
            const REAL *a = g->a + m0 * g->a_row + k0 * g->a_col;
            ptrdiff_t a_stride = stride;
            if (copy_a) {
                a_stride = FG_KC + FG_PAD;
                FG_(fg_copy_a)(M, K, a, stride, block, a_stride);
                a = block;
            }
            for (ptrdiff_t n = 0; n < g->N; n += NR) {
                const ptrdiff_t cols = g->N - n < NR ? g->N - n : NR;
                const int nv = cols > W ? 2 : 1;
                const REAL *b = panel;
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
                FG_(fg_ahead) ahead = {0};
                if (far && n + NR < g->N)
                    ahead = FG_(fg_look_ahead)(g, k0, n + NR, (M + FG_MR - 1) / FG_MR);
                for (ptrdiff_t m = 0, mr; m < M; m += mr) {
                    mr = FG_(fg_rows_of_tile)(M - m);
                    const REAL *const from = a + (by_columns ? m : m * a_stride);
                    REAL *const c = g->c + (m0 + m) * g->c_row + n;
                    const REAL *const add = plus ? plus + (m0 + m) * plus_row + n : NULL;
                    if (ahead.rows && mr == FG_MR && nv == 2) {
                        (by_columns ? FG_(fg_columns_far) : FG_(fg_rows_far))(
                            K, from, a_stride, b, b_row, c, g->c_row, cols, add, plus_row,
                            not_finite, &ahead);
                        ahead.at += by_rows_b ? (K + 15) / 16 * ahead.step : ahead.rows * ahead.row;
                    } else {
                        FG_(fg_tiles)[by_columns][mr - 1][nv - 1](
                            K, from, a_stride, b, b_row, c, g->c_row, cols, add, plus_row,
                            not_finite);
                    }
                }
            }
            k0 += K;
        } while (k0 < g->K);
    }
    for (int i = 0; i < W; i++)
        if (!(bad[i] == 0)) *g->not_finite = 1;
}

#undef REAL
#undef VEC
#undef W
#undef NR
