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

#define UNROLLED _Pragma("GCC unroll 16")
#include "fg_gemm_tile.h"
#include "fg_gemm_pack.h"
#include "fg_gemm_row.h"

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
