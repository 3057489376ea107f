/* Sums in float64 with one fixed order: 16 lanes side by side, whatever the level's vector width,
 * then the lanes from first to last. A float32 sum of squares would overflow at 1e19. */
#ifndef FG_REDUCE_H
#define FG_REDUCE_H
#include <math.h>

#include "fg_simd.h"

typedef double fg_sum_lanes __attribute__((vector_size(128), aligned(8), may_alias));
enum { FG_SUM_LANES = 16 };

static inline double fg_add_lanes(const fg_sum_lanes *acc)
{
    double sum = 0;
    for (int i = 0; i < FG_SUM_LANES; i++) sum += (*acc)[i];
    return sum;
}

/* TERMS(v) is what 16 lanes v add to the sum; what is left of a whole 16 comes one by one, TERM(v) */
#define FG_REDUCTION(name, REAL, BYTES, TERMS, TERM)                                     \
    static inline double name(const REAL *x, ptrdiff_t n)                                \
    {                                                                                    \
        typedef REAL lanes __attribute__((vector_size(BYTES), aligned(4), may_alias));   \
        fg_sum_lanes acc = {0};                                                          \
        double rest = 0;                                                                 \
        ptrdiff_t i = 0;                                                                 \
        for (; n - i >= FG_SUM_LANES; i += FG_SUM_LANES) {                               \
            const fg_sum_lanes v = __builtin_convertvector(*(const lanes *)(x + i), fg_sum_lanes); \
            acc += TERMS(v);                                                             \
        }                                                                                \
        for (; i < n; i++) {                                                             \
            const double v = x[i];                                                       \
            rest += TERM(v);                                                             \
        }                                                                                \
        return n < FG_SUM_LANES ? rest : fg_add_lanes(&acc) + rest;                      \
    }
#define FG_ITSELF(v) v
#define FG_SQUARE(v) v *v
typedef int64_t fg_sum_bits __attribute__((vector_size(128)));
#define FG_SIZES(v) (fg_sum_lanes)((fg_sum_bits)v & INT64_MAX)
FG_REDUCTION(fg_sum_f32, float, 64, FG_ITSELF, FG_ITSELF)
FG_REDUCTION(fg_sum_f64, double, 128, FG_ITSELF, FG_ITSELF)
FG_REDUCTION(fg_sum_squares_f32, float, 64, FG_SQUARE, FG_SQUARE)
FG_REDUCTION(fg_sum_squares_f64, double, 128, FG_SQUARE, FG_SQUARE)
FG_REDUCTION(fg_sum_sizes_f32, float, 64, FG_SIZES, fabs)
FG_REDUCTION(fg_sum_sizes_f64, double, 128, FG_SIZES, fabs)

#define FG_DOT(name, REAL, BYTES)                                                        \
    static inline double name(const REAL *x, const REAL *y, ptrdiff_t n)                 \
    {                                                                                    \
        typedef REAL lanes __attribute__((vector_size(BYTES), aligned(4), may_alias));   \
        fg_sum_lanes acc = {0};                                                          \
        double rest = 0;                                                                 \
        ptrdiff_t i = 0;                                                                 \
        for (; n - i >= FG_SUM_LANES; i += FG_SUM_LANES)                                 \
            acc += __builtin_convertvector(*(const lanes *)(x + i), fg_sum_lanes)        \
                   * __builtin_convertvector(*(const lanes *)(y + i), fg_sum_lanes);     \
        for (; i < n; i++) rest += (double)x[i] * y[i];                                  \
        return n < FG_SUM_LANES ? rest : fg_add_lanes(&acc) + rest;                      \
    }
FG_DOT(fg_dot_f32, float, 64)
FG_DOT(fg_dot_f64, double, 128)

/* Whether all n values are finite: x - x is 0 unless x is infinite or NaN, and NaN sticks. */
#define FG_FINITE(name, REAL, VEC)                                        \
    static inline int name(const REAL *x, ptrdiff_t n)                    \
    {                                                                     \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                      \
        VEC bad[4] = {{0}};                                               \
        REAL rest = 0;                                                    \
        ptrdiff_t i = 0;                                                  \
        for (; n - i >= 4 * LANES; i += 4 * LANES)                        \
            for (int j = 0; j < 4; j++) {                                 \
                const VEC v = *(const VEC *)(x + i + j * LANES);          \
                bad[j] += v - v;                                          \
            }                                                             \
        for (; i < n; i++) rest += x[i] - x[i];                           \
        bad[0] += bad[1] + bad[2] + bad[3];                               \
        for (int j = 0; j < LANES; j++) rest += bad[0][j];                \
        return rest == 0;                                                 \
    }
FG_FINITE(fg_finite_f32, float, fg_vec_f32)
FG_FINITE(fg_finite_f64, double, fg_vec_f64)

/* sums[0:columns] += x[rows, columns], row after row. */
#define FG_ADD_ROWS(SUFFIX, REAL, VEC)                                                     \
    static inline void fg_add_rows##SUFFIX(const REAL *x, ptrdiff_t rows, ptrdiff_t row,   \
                                           ptrdiff_t columns, REAL *sums)                  \
    {                                                                                      \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                       \
        ptrdiff_t c = 0;                                                                   \
        for (; columns - c >= 4 * LANES; c += 4 * LANES) {                                 \
            VEC acc[4];                                                                    \
            for (int j = 0; j < 4; j++) acc[j] = *(const VEC *)(sums + c + j * LANES);     \
            for (ptrdiff_t r = 0; r < rows; r++)                                           \
                for (int j = 0; j < 4; j++)                                                \
                    acc[j] += *(const VEC *)(x + r * row + c + j * LANES);                 \
            for (int j = 0; j < 4; j++) *(VEC *)(sums + c + j * LANES) = acc[j];           \
        }                                                                                  \
        for (; columns - c >= LANES; c += LANES) {                                         \
            VEC acc = *(const VEC *)(sums + c);                                            \
            for (ptrdiff_t r = 0; r < rows; r++) acc += *(const VEC *)(x + r * row + c);   \
            *(VEC *)(sums + c) = acc;                                                      \
        }                                                                                  \
        if (c < columns) {                                                                 \
            const ptrdiff_t n = columns - c;                                               \
            VEC acc = fg_load_part##SUFFIX(sums + c, n);                                   \
            for (ptrdiff_t r = 0; r < rows; r++)                                           \
                acc += fg_load_part##SUFFIX(x + r * row + c, n);                           \
            fg_store_part##SUFFIX(sums + c, acc, n);                                       \
        }                                                                                  \
    }
FG_ADD_ROWS(_f32, float, fg_vec_f32)
FG_ADD_ROWS(_f64, double, fg_vec_f64)
#endif
