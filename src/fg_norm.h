/* One row brought to mean 0 and variance 1 (or to mean square 1), and the way back.
 *
 * Sums run over lanes side by side, as many at every level, so that their order is one. Those of a
 * row's own statistics are in float64: in float32 squares overflow at 1e19, and a mean that is
 * large beside the spread leaves nothing of it. In the way back, where no term is larger than a
 * gradient times sqrt(n), float32 lanes take 8 terms before they go on in float64.
 *
 * x - mean is (x - high) - low, with the mean as two numbers of x's dtype: where x and the mean are
 * close the first difference is exact, and nothing is lost by not being in float64.
 */
#ifndef FG_NORM_H
#define FG_NORM_H
#include <math.h>
#include "fg_simd.h"

enum { FG_NORM_ROWS = 8 }; /* rows whose sums over columns are added before the rest's */

/* as many as fit in 64 bytes */
typedef float fg_wide_f32 __attribute__((vector_size(64), aligned(4), may_alias));
typedef fg_eight fg_wide_f64;

static inline double fg_add_eight(const fg_eight *p)
{
    const fg_eight v = *p;
    return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7]));
}
FG_INLINE void fg_add_wide_f32(fg_eight *sum, const fg_wide_f32 *v)
{
    fg_eight low, high;
    fg_load_eight_f32((const float *)v, &low);
    fg_load_eight_f32((const float *)v + 8, &high);
    *sum += low + high;
}
FG_INLINE void fg_add_wide_f64(fg_eight *sum, const fg_wide_f64 *v) { *sum += *v; }

#define FG_NORM(SUFFIX, REAL, VEC)                                                              \
    typedef struct {                                                                            \
        REAL high, low, scale; /* mean = high + low */                                          \
    } fg_moments##SUFFIX;                                                                       \
    FG_INLINE fg_moments##SUFFIX fg_moments_of##SUFFIX(double mean, double scale)               \
    {                                                                                           \
        const REAL high = (REAL)mean;                                                           \
        const fg_moments##SUFFIX m = {high, (REAL)(mean - high), (REAL)scale};                  \
        return m;                                                                               \
    }                                                                                           \
                                                                                                \
    /* Sum of x - mean, or of its square; the numbers that are added last come one by one. */   \
    FG_INLINE double fg_sum_off##SUFFIX(const REAL *x, ptrdiff_t n, double mean, int square)    \
    {                                                                                           \
        fg_eight acc[4] = {{0}}; /* fewer would wait for each other's additions */              \
        double rest = 0;                                                                        \
        ptrdiff_t i = 0;                                                                        \
        for (; n - i >= 32; i += 32)                                                            \
            for (int j = 0; j < 4; j++) {                                                       \
                fg_eight d;                                                                     \
                fg_load_eight##SUFFIX(x + i + 8 * j, &d);                                       \
                d -= mean;                                                                      \
                if (square)                                                                     \
                    acc[j] += d * d;                                                            \
                else                                                                            \
                    acc[j] += d;                                                                \
            }                                                                                   \
        for (; n - i >= 8; i += 8) {                                                            \
            fg_eight d;                                                                         \
            fg_load_eight##SUFFIX(x + i, &d);                                                   \
            d -= mean;                                                                          \
            if (square)                                                                         \
                acc[0] += d * d;                                                                \
            else                                                                                \
                acc[0] += d;                                                                    \
        }                                                                                       \
        for (; i < n; i++) {                                                                    \
            const double d = x[i] - mean;                                                       \
            rest += square ? d * d : d;                                                         \
        }                                                                                       \
        acc[0] = (acc[0] + acc[1]) + (acc[2] + acc[3]);                                         \
        return fg_add_eight(&acc[0]) + rest;                                                    \
    }                                                                                           \
                                                                                                \
    /* The first `part` lanes, or all of them where it is 0 */                                  \
    FG_INLINE VEC fg_norm_load##SUFFIX(const REAL *p, ptrdiff_t part)                           \
    {                                                                                           \
        return part ? fg_load_part##SUFFIX(p, part) : *(const VEC *)p;                          \
    }                                                                                           \
    FG_INLINE void fg_norm_store##SUFFIX(REAL *p, VEC v, ptrdiff_t part)                        \
    {                                                                                           \
        if (part)                                                                               \
            fg_store_part##SUFFIX(p, v, part);                                                  \
        else                                                                                    \
            *(VEC *)p = v;                                                                      \
    }                                                                                           \
                                                                                                \
    FG_INLINE void fg_norm_y##SUFFIX(const REAL *x, const REAL *w, const REAL *b,               \
                                     fg_moments##SUFFIX m, REAL *y, ptrdiff_t part)             \
    {                                                                                           \
        VEC v = ((fg_norm_load##SUFFIX(x, part) - m.high) - m.low) * m.scale;                   \
        if (w) v *= fg_norm_load##SUFFIX(w, part);                                              \
        if (b) v += fg_norm_load##SUFFIX(b, part);                                              \
        fg_norm_store##SUFFIX(y, v, part);                                                      \
    }                                                                                           \
    static inline void fg_norm_forward##SUFFIX(const REAL *x, const REAL *w, const REAL *b,     \
                                               ptrdiff_t n, int center, double eps, REAL *y,    \
                                               double *mean, double *scale)                     \
    {                                                                                           \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                            \
        *mean = center ? fg_sum_off##SUFFIX(x, n, 0, 0) / (double)n : 0;                        \
        *scale = 1 / sqrt(fg_sum_off##SUFFIX(x, n, *mean, 1) / (double)n + eps);                \
        const fg_moments##SUFFIX m = fg_moments_of##SUFFIX(*mean, *scale);                      \
        ptrdiff_t i = 0;                                                                        \
        for (; n - i >= LANES; i += LANES)                                                      \
            fg_norm_y##SUFFIX(x + i, w ? w + i : w, b ? b + i : b, m, y + i, 0);                \
        if (i < n) fg_norm_y##SUFFIX(x + i, w ? w + i : w, b ? b + i : b, m, y + i, n - i);     \
    }                                                                                           \
                                                                                                \
    FG_INLINE void fg_norm_add##SUFFIX(REAL *p, VEC v, ptrdiff_t part)                          \
    {                                                                                           \
        fg_norm_store##SUFFIX(p, fg_norm_load##SUFFIX(p, part) + v, part);                      \
    }                                                                                           \
    /* dweight += sum of dy times x brought to mean 0, dbias += sum of dy, over `rows` rows */  \
    FG_INLINE void fg_norm_some_columns##SUFFIX(const REAL *x, const REAL *dy, ptrdiff_t rows,  \
                                                ptrdiff_t row, const fg_moments##SUFFIX *m,     \
                                                REAL *dweight, REAL *dbias, int vectors,        \
                                                ptrdiff_t part)                                 \
    {                                                                                           \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                            \
        VEC weight[2] = {{0}}, bias[2] = {{0}};                                                 \
        for (ptrdiff_t r = 0; r < rows; r++)                                                    \
            for (int j = 0; j < vectors; j++) {                                                 \
                const VEC v = fg_norm_load##SUFFIX(x + r * row + j * LANES, part);              \
                const VEC g = fg_norm_load##SUFFIX(dy + r * row + j * LANES, part);             \
                weight[j] += g * (((v - m[r].high) - m[r].low) * m[r].scale);                   \
                bias[j] += g;                                                                   \
            }                                                                                   \
        for (int j = 0; j < vectors; j++) {                                                     \
            if (dweight) fg_norm_add##SUFFIX(dweight + j * LANES, weight[j], part);             \
            if (dbias) fg_norm_add##SUFFIX(dbias + j * LANES, bias[j], part);                   \
        }                                                                                       \
    }                                                                                           \
    static inline void fg_norm_columns##SUFFIX(const REAL *x, const REAL *dy, ptrdiff_t rows,   \
                                               ptrdiff_t row, ptrdiff_t columns,                \
                                               const double *mean, const double *scale,         \
                                               REAL *dweight, REAL *dbias)                      \
    {                                                                                           \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                            \
        fg_moments##SUFFIX m[FG_NORM_ROWS];                                                     \
        for (ptrdiff_t r = 0; r < rows; r++) m[r] = fg_moments_of##SUFFIX(mean[r], scale[r]);   \
        for (ptrdiff_t c = 0, n; c < columns; c += n) {                                         \
            REAL *const w = dweight ? dweight + c : dweight, *const b = dbias ? dbias + c : dbias; \
            n = columns - c;                                                                    \
            if (n >= 2 * LANES) {                                                               \
                n = 2 * LANES;                                                                  \
                fg_norm_some_columns##SUFFIX(x + c, dy + c, rows, row, m, w, b, 2, 0);          \
            } else if (n >= LANES) {                                                            \
                n = LANES;                                                                      \
                fg_norm_some_columns##SUFFIX(x + c, dy + c, rows, row, m, w, b, 1, 0);          \
            } else                                                                              \
                fg_norm_some_columns##SUFFIX(x + c, dy + c, rows, row, m, w, b, 1, n);          \
        }                                                                                       \
    }                                                                                           \
                                                                                                \
    FG_INLINE void fg_norm_terms##SUFFIX(const REAL *x, const REAL *w, const REAL *dy,          \
                                         fg_moments##SUFFIX m, fg_wide##SUFFIX *sum,            \
                                         fg_wide##SUFFIX *dot)                                  \
    {                                                                                           \
        fg_wide##SUFFIX g = *(const fg_wide##SUFFIX *)dy;                                       \
        if (w) g *= *(const fg_wide##SUFFIX *)w;                                                \
        *sum += g;                                                                              \
        *dot += g * (((*(const fg_wide##SUFFIX *)x - m.high) - m.low) * m.scale);               \
    }                                                                                           \
    FG_INLINE void fg_norm_dx##SUFFIX(const REAL *x, const REAL *w, const REAL *dy,             \
                                      fg_moments##SUFFIX m, REAL sum, REAL dot, REAL *dx,       \
                                      ptrdiff_t part)                                           \
    {                                                                                           \
        const VEC v = ((fg_norm_load##SUFFIX(x, part) - m.high) - m.low) * m.scale;             \
        VEC g = fg_norm_load##SUFFIX(dy, part);                                                 \
        if (w) g *= fg_norm_load##SUFFIX(w, part);                                              \
        fg_norm_store##SUFFIX(dx, g * m.scale - (v * dot + sum), part);                         \
    }                                                                                           \
    /* With v the normalized row and g = dy w: dx = scale (g - mean(g) - v mean(g v)) */        \
    static inline void fg_norm_backward##SUFFIX(const REAL *x, const REAL *w, const REAL *dy,   \
                                                ptrdiff_t n, int center, double mean,           \
                                                double scale, REAL *dx)                         \
    {                                                                                           \
        enum { LANES = sizeof(VEC) / sizeof(REAL), WIDE = 64 / sizeof(REAL) };                  \
        const fg_moments##SUFFIX m = fg_moments_of##SUFFIX(mean, scale);                        \
        fg_eight sums = {0}, dots = {0};                                                        \
        double sum = 0, dot = 0;                                                                \
        ptrdiff_t i = 0;                                                                        \
        while (n - i >= WIDE) {                                                                 \
            const ptrdiff_t stop = n - i < 16 * WIDE ? n : i + 16 * WIDE;                       \
            fg_wide##SUFFIX s[2] = {{0}}, d[2] = {{0}};                                         \
            for (; stop - i >= 2 * WIDE; i += 2 * WIDE)                                         \
                for (int j = 0; j < 2; j++)                                                     \
                    fg_norm_terms##SUFFIX(x + i + j * WIDE, w ? w + i + j * WIDE : w,           \
                                          dy + i + j * WIDE, m, &s[j], &d[j]);                  \
            if (stop - i >= WIDE) {                                                             \
                fg_norm_terms##SUFFIX(x + i, w ? w + i : w, dy + i, m, &s[0], &d[0]);           \
                i += WIDE;                                                                      \
            }                                                                                   \
            s[0] += s[1], d[0] += d[1];                                                         \
            fg_add_wide##SUFFIX(&sums, &s[0]);                                                  \
            fg_add_wide##SUFFIX(&dots, &d[0]);                                                  \
        }                                                                                       \
        for (; i < n; i++) {                                                                    \
            const REAL g = w ? dy[i] * w[i] : dy[i];                                            \
            sum += g;                                                                           \
            dot += (double)g * (((x[i] - m.high) - m.low) * m.scale);                           \
        }                                                                                       \
        sum = center ? scale * (fg_add_eight(&sums) + sum) / (double)n : 0;                     \
        dot = scale * (fg_add_eight(&dots) + dot) / (double)n;                                  \
        for (i = 0; n - i >= LANES; i += LANES)                                                 \
            fg_norm_dx##SUFFIX(x + i, w ? w + i : w, dy + i, m, (REAL)sum, (REAL)dot, dx + i, 0); \
        if (i < n)                                                                              \
            fg_norm_dx##SUFFIX(x + i, w ? w + i : w, dy + i, m, (REAL)sum, (REAL)dot, dx + i,   \
                               n - i);                                                          \
    }
FG_NORM(_f32, float, fg_vec_f32)
FG_NORM(_f64, double, fg_vec_f64)
#endif
