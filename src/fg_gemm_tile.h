/* Of fg_gemm_impl.h, once per dtype: the register tile, one function for each of its shapes. */

/* c = plus + a b for mr rows and cols columns, (nv-1)*W < cols <= nv*W. plus is C itself or a bias,
 * with rows plus_row apart, or NULL. The k loop holds nv vectors of B and mr*nv accumulators; mr
 * and nv are literals at every call, so that all of it lives in registers; the loops over them are
 * told to unroll, or GCC writes every accumulator to the stack too. C is fetched while the k loop
 * runs and met only after it. */
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

FG_INLINE ptrdiff_t FG_(fg_rows_of_tile)(ptrdiff_t left, int nv)
{
    /* the last two tiles share their rows: 8 + 1 rows as 5 + 4 keep the multipliers busy */
    const ptrdiff_t most = FG_MR(nv);
    return left >= 2 * most || left == most ? most : left > most ? (left + 1) / 2 : left;
}
