/* Sums in float64 with one fixed order: 16 lanes side by side, whatever the level's vector width,
 * then the lanes from first to last. A float32 sum of squares would overflow at 1e19. */
#ifndef FG_REDUCE_H
#define FG_REDUCE_H
#include <stddef.h>
#include <string.h>

typedef double fg_sum_lanes __attribute__((vector_size(128)));
enum { FG_SUM_LANES = 16 };

static inline double fg_add_lanes(const fg_sum_lanes *acc)
{
    double sum = 0;
    for (int i = 0; i < FG_SUM_LANES; i++) sum += (*acc)[i];
    return sum;
}

/* TERM(v) is what a lane v adds to the sum */
#define FG_REDUCTION(name, REAL, BYTES, TERM)                                   \
    static inline double name(const REAL *x, ptrdiff_t n)                       \
    {                                                                           \
        typedef REAL lanes __attribute__((vector_size(BYTES)));                 \
        fg_sum_lanes acc = {0};                                                 \
        for (ptrdiff_t i = 0; i < n; i += FG_SUM_LANES) {                       \
            lanes part = {0};                                                   \
            if (n - i >= FG_SUM_LANES) memcpy(&part, x + i, sizeof(part));      \
            else memcpy(&part, x + i, (size_t)(n - i) * sizeof(REAL));          \
            const fg_sum_lanes v = __builtin_convertvector(part, fg_sum_lanes); \
            acc += TERM(v);                                                     \
        }                                                                       \
        return fg_add_lanes(&acc);                                               \
    }
#define FG_ITSELF(v) v
#define FG_SQUARE(v) v *v
FG_REDUCTION(fg_sum_f32, float, 64, FG_ITSELF)
FG_REDUCTION(fg_sum_f64, double, 128, FG_ITSELF)
FG_REDUCTION(fg_sum_squares_f32, float, 64, FG_SQUARE)
FG_REDUCTION(fg_sum_squares_f64, double, 128, FG_SQUARE)

/* Whether all n values are finite: x * 0 is 0 unless x is infinite or NaN, and NaN sticks. */
#define FG_FINITE(name, REAL)                                              \
    static inline int name(const REAL *x, ptrdiff_t n)                     \
    {                                                                      \
        typedef REAL lanes __attribute__((vector_size(128)));              \
        enum { LANES = 128 / sizeof(REAL) };                               \
        lanes acc = {0};                                                   \
        ptrdiff_t i = 0;                                                   \
        for (; n - i >= LANES; i += LANES) {                               \
            lanes part;                                                    \
            memcpy(&part, x + i, sizeof(part));                            \
            acc += part * 0;                                               \
        }                                                                  \
        REAL sum = 0;                                                      \
        for (; i < n; i++) sum += x[i] * 0;                                \
        for (int j = 0; j < LANES; j++) sum += acc[j];                     \
        return sum == 0;                                                   \
    }
FG_FINITE(fg_finite_f32, float)
FG_FINITE(fg_finite_f64, double)
#endif
