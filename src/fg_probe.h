/* Statistics of gradients, of updates and of outputs, for the price of reading what is in a cache.
 *
 * Sums of squares run in lanes of the vector's own dtype over some thousand elements at most and
 * go on in float64. Where the largest element shows that squares may have left the range of the
 * dtype, the norm is taken once more, scaled. Sizes are compared as integers: NaN is the largest,
 * and denormals count whatever the processor makes of them.
 */
#ifndef FG_PROBE_H
#define FG_PROBE_H
#include <math.h>

#include "fg_denormal.h"
#include "fg_simd.h"

enum { FG_PROBE_ROWS = 8 };                      /* of outputs, whose sums are one part */
enum { FG_ABOVE = 1, FG_BETWEEN, FG_BY_SLOPE }; /* how outputs show that they are alive */

/* Whether a sum of squares shows that none of them has left the range of its dtype. */
#define FG_WITHIN(sum, LOW, HIGH) ((sum) > LOW * LOW * 8192 && (sum) < HIGH * HIGH)

/* The number whose bits these are, in float64. */
FG_INLINE double fg_of_bits_f32(int32_t b)
{
    float x;
    memcpy(&x, &b, sizeof x);
    return b < 0x00800000 ? (double)b * 0x1p-149 : (double)x;
}
FG_INLINE double fg_of_bits_f64(int64_t b)
{
    double x;
    memcpy(&x, &b, sizeof x);
    return x;
}

/* REAL has VEC as its vector, SIGNED as the integer of its size, INTS as the vector of these;
 * INF and LEAST are the bits of infinity and of the smallest normal number; squares of numbers
 * between LOW and HIGH, some thousands added, stay in range. */
#define FG_PROBE(SUFFIX, REAL, VEC, SIGNED, INTS, INF, LEAST, LOW, HIGH)                          \
    FG_INLINE SIGNED fg_size_bits##SUFFIX(const REAL *x)                                          \
    {                                                                                             \
        SIGNED b;                                                                                 \
        memcpy(&b, x, sizeof b);                                                                  \
        return b & (SIGNED)~((SIGNED)1 << (sizeof(REAL) * 8 - 1));                                \
    }                                                                                             \
                                                                                                  \
    /* The norm of x - y (of x, where there is no y), whatever the sizes of its elements. */      \
    static __attribute__((noinline, unused)) double fg_safe_norm##SUFFIX(                         \
        const REAL *x, const REAL *y, ptrdiff_t n)                                                \
    {                                                                                             \
        const fg_mode mode = fg_keep_denormals();                                                 \
        fg_eight squares = {0};                                                                   \
        double top = 0, sum = 0;                                                                  \
        ptrdiff_t i = 0;                                                                          \
        for (; n - i >= 8; i += 8) {                                                              \
            fg_eight a, b = {0};                                                                  \
            fg_load_eight##SUFFIX(x + i, &a);                                                     \
            if (y) fg_load_eight##SUFFIX(y + i, &b);                                              \
            a -= b;                                                                               \
            squares += a * a;                                                                     \
        }                                                                                         \
        for (int k = 0; k < 8; k++) sum += squares[k];                                            \
        for (; i < n; i++) {                                                                      \
            const double d = (double)x[i] - (y ? y[i] : 0);                                       \
            sum += d * d;                                                                         \
        }                                                                                         \
        if (!(sum > 1e-280 && sum < 1e280)) {                                                     \
            for (i = 0; i < n; i++) {                                                             \
                const double d = fabs((double)x[i] - (y ? y[i] : 0));                             \
                top = d > top || d != d ? d : top;                                                \
            }                                                                                     \
            sum = 0;                                                                              \
            for (i = 0; i < n && top > 0 && top < INFINITY; i++) {                                \
                const double d = ((double)x[i] - (y ? y[i] : 0)) / top;                           \
                sum += d * d;                                                                     \
            }                                                                                     \
        }                                                                                         \
        const double norm = top == 0 ? sqrt(sum) : top < INFINITY ? top * sqrt(sum) : top;        \
        fg_mode_set(mode);                                                                        \
        return norm;                                                                              \
    }                                                                                             \
    /* Denormals, and what is not finite. */                                                      \
    static __attribute__((noinline, unused)) void fg_count_odd##SUFFIX(const REAL *x, ptrdiff_t n,\
                                                               double *counts)                    \
    {                                                                                             \
        SIGNED denormals = 0, bad = 0;                                                            \
        for (ptrdiff_t i = 0; i < n; i++) {                                                       \
            const SIGNED b = fg_size_bits##SUFFIX(x + i);                                         \
            denormals += b > 0 && b < LEAST;                                                      \
            bad += b >= INF;                                                                      \
        }                                                                                         \
        counts[0] = (double)denormals;                                                            \
        counts[1] = (double)bad;                                                                  \
    }                                                                                             \
                                                                                                  \
    /* What has been seen of some elements, in lanes. */                                          \
    typedef struct {                                                                              \
        VEC squares[2];           /* of x */                                                      \
        INTS top[2], least[2];    /* the largest size; minus the least one that is not 0 */       \
        INTS others[2];           /* minus the number of those that are not 0 */                  \
        VEC weights[2], steps[2]; /* squares of what p was before, and of the difference */       \
    } fg_watch##SUFFIX;                                                                           \
    FG_INLINE void fg_watch_gradient##SUFFIX(fg_watch##SUFFIX *w, int j, VEC x)                   \
    {                                                                                             \
        const INTS sizes = ~((INTS){0} + (SIGNED)((SIGNED)1 << (sizeof(REAL) * 8 - 1)));          \
        const INTS b = (INTS)x & sizes;                                                           \
        w->squares[j] += x * x;                                                                   \
        w->top[j] = fg_larger##SUFFIX(w->top[j], b);                                              \
        w->least[j] = fg_larger_unsigned##SUFFIX(w->least[j], -b); /* as such 0 is the least */   \
        w->others[j] += -b >> (sizeof(REAL) * 8 - 1);                                             \
    }                                                                                             \
    FG_INLINE void fg_watch_update##SUFFIX(fg_watch##SUFFIX *w, int j, VEC before, VEC after)     \
    {                                                                                             \
        const VEC d = after - before;                                                             \
        w->weights[j] += before * before;                                                         \
        w->steps[j] += d * d;                                                                     \
    }                                                                                             \
    /* seen: norm, largest size, and the three counts. */                                         \
    FG_INLINE void fg_say_gradient##SUFFIX(fg_watch##SUFFIX *w, const REAL *x, ptrdiff_t n,       \
                                           double *seen)                                          \
    {                                                                                             \
        const INTS top = fg_larger##SUFFIX(w->top[0], w->top[1]);                                 \
        const SIGNED most = fg_largest##SUFFIX(top);                                              \
        REAL largest;                                                                             \
        memcpy(&largest, &most, sizeof largest);                                                  \
        const INTS least = fg_larger_unsigned##SUFFIX(w->least[0], w->least[1]);                  \
        const SIGNED small = fg_add_ints##SUFFIX((INTS)(least < 0) & (INTS)(least > -LEAST));     \
        seen[2] = (double)(n + fg_add_ints##SUFFIX(w->others[0] + w->others[1]));                 \
        seen[3] = seen[4] = 0;                                                                    \
        if (small || most >= INF) fg_count_odd##SUFFIX(x, n, seen + 3);                           \
        if (most == 0)                                                                            \
            seen[0] = 0;                                                                          \
        else if (largest > LOW && largest < HIGH)                                                 \
            seen[0] = sqrt((double)fg_add_all##SUFFIX(w->squares[0] + w->squares[1]));            \
        else                                                                                      \
            seen[0] = fg_safe_norm##SUFFIX(x, NULL, n);                                           \
        seen[1] = fg_of_bits##SUFFIX(most);                                                       \
    }                                                                                             \
    static __attribute__((noinline, unused)) void fg_see_gradient##SUFFIX(                        \
        const REAL *x, ptrdiff_t n, double *seen)                                                 \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                              \
        fg_watch##SUFFIX w = {0};                                                                 \
        ptrdiff_t i = 0;                                                                          \
        for (; n - i >= 2 * LANES; i += 2 * LANES)                                                \
            for (int j = 0; j < 2; j++)                                                           \
                fg_watch_gradient##SUFFIX(&w, j, *(const VEC *)(x + i + j * LANES));              \
        for (; i < n; i += LANES)                                                                 \
            fg_watch_gradient##SUFFIX(&w, 0, n - i < LANES ? fg_load_part##SUFFIX(x + i, n - i)   \
                                                           : *(const VEC *)(x + i));              \
        fg_say_gradient##SUFFIX(&w, x, n, seen);                                                  \
    }                                                                                             \
                                                                                                  \
    /* moved: the norm of `before`, and that of p - before. */                                    \
    static __attribute__((noinline, unused)) void fg_see_update##SUFFIX(                          \
        const REAL *p, const REAL *before, ptrdiff_t n, double *moved)                            \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                              \
        fg_watch##SUFFIX w = {0};                                                                 \
        ptrdiff_t i = 0;                                                                          \
        for (; n - i >= 2 * LANES; i += 2 * LANES)                                                \
            for (int j = 0; j < 2; j++)                                                           \
                fg_watch_update##SUFFIX(&w, j, *(const VEC *)(before + i + j * LANES),            \
                                        *(const VEC *)(p + i + j * LANES));                       \
        for (; i < n; i += LANES) {                                                               \
            if (n - i < LANES)                                                                    \
                fg_watch_update##SUFFIX(&w, 0, fg_load_part##SUFFIX(before + i, n - i),           \
                                        fg_load_part##SUFFIX(p + i, n - i));                      \
            else                                                                                  \
                fg_watch_update##SUFFIX(&w, 0, *(const VEC *)(before + i), *(const VEC *)(p + i));\
        }                                                                                         \
        /* of a sum of n squares above n LOW^2 what has been lost is nothing */                   \
        const REAL sum = fg_add_all##SUFFIX(w.weights[0] + w.weights[1]);                         \
        const REAL step = fg_add_all##SUFFIX(w.steps[0] + w.steps[1]);                            \
        moved[0] = FG_WITHIN(sum, LOW, HIGH) ? sqrt((double)sum)                                  \
                                             : fg_safe_norm##SUFFIX(before, NULL, n);             \
        if (FG_WITHIN(step, LOW, HIGH))                                                           \
            moved[1] = sqrt((double)step);                                                        \
        else /* often: what has vanished changes nothing */                                       \
            moved[1] = memcmp(p, before, (size_t)n * sizeof(REAL))                                \
                           ? fg_safe_norm##SUFFIX(p, before, n) : 0;                              \
    }                                                                                             \
    /* part: sum, sum of squares, and number of elements alive of some rows of y. Alive is where  \
     * q > low, for q = y, or the square of the slope, or less that of the distance to the middle.\
     * alive[c] becomes 1 where one of column c is; other threads may write it, too, but nobody   \
     * writes anything else. `wide` vectors are seen side by side, or the first `lanes` of one. */\
    FG_INLINE int fg_see_columns##SUFFIX(const REAL *y, const REAL *slope, ptrdiff_t rows,        \
                                         ptrdiff_t row, int wide, int kind, REAL low,             \
                                         REAL middle, ptrdiff_t lanes, VEC *sum, VEC *square,     \
                                         REAL *alive)                                             \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                              \
        const unsigned within = (1u << lanes) - 1;                                                \
        unsigned any[4] = {0};                                                                    \
        int living = 0;                                                                           \
        for (ptrdiff_t r = 0; r < rows; r++)                                                      \
            for (int j = 0; j < wide; j++) {                                                      \
                const REAL *at = y + r * row + j * LANES;                                         \
                const VEC v = lanes < LANES ? fg_load_part##SUFFIX(at, lanes) : *(const VEC *)at; \
                VEC q = v;                                                                        \
                sum[j] += v;                                                                      \
                square[j] += v * v;                                                               \
                if (kind == FG_BY_SLOPE) {                                                        \
                    at = slope + r * row + j * LANES;                                             \
                    q = lanes < LANES ? fg_load_part##SUFFIX(at, lanes) : *(const VEC *)at;       \
                    q *= q;                                                                       \
                } else if (kind == FG_BETWEEN) {                                                  \
                    q = -(v - middle) * (v - middle);                                             \
                }                                                                                 \
                if (kind) {                                                                       \
                    const unsigned bits = fg_above##SUFFIX(q, (VEC){0} + low) & within;           \
                    living += __builtin_popcount(bits);                                           \
                    any[j] |= bits;                                                               \
                }                                                                                 \
            }                                                                                     \
        if (kind)                                                                                 \
            for (int j = 0; j < wide; j++) {                                                      \
                REAL *at = alive + j * LANES;                                                     \
                const VEC known = lanes < LANES ? fg_load_part##SUFFIX(at, lanes)                 \
                                                : *(const VEC *)at;                               \
                any[j] &= ~fg_above##SUFFIX(known, (VEC){0});                                     \
                if (any[j]) fg_raise##SUFFIX(at, any[j]); /* loads would wait for the store */    \
            }                                                                                     \
        return living;                                                                            \
    }                                                                                             \
    /* part: sum and sum of squares in float64. */                                                \
    static __attribute__((noinline, unused)) void fg_sum_exactly##SUFFIX(                         \
        const REAL *y, ptrdiff_t n, double *part)                                                 \
    {                                                                                             \
        const fg_mode mode = fg_keep_denormals();                                                 \
        fg_eight sum = {0}, square = {0}, v;                                                      \
        double total = 0, squares = 0;                                                            \
        ptrdiff_t i = 0;                                                                          \
        for (; n - i >= 8; i += 8) {                                                              \
            fg_load_eight##SUFFIX(y + i, &v);                                                     \
            sum += v;                                                                             \
            square += v * v;                                                                      \
        }                                                                                         \
        for (; i < n; i++) {                                                                      \
            total += (double)y[i];                                                                \
            squares += (double)y[i] * y[i];                                                       \
        }                                                                                         \
        for (int k = 0; k < 8; k++) {                                                             \
            total += sum[k];                                                                      \
            squares += square[k];                                                                 \
        }                                                                                         \
        part[0] = total;                                                                          \
        part[1] = squares;                                                                        \
        fg_mode_set(mode);                                                                        \
    }                                                                                             \
    FG_INLINE void fg_see_part##SUFFIX(const REAL *y, const REAL *slope, ptrdiff_t rows,          \
                                       ptrdiff_t columns, int kind, REAL low, REAL middle,        \
                                       double *part, REAL *alive)                                 \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                              \
        VEC sum[4] = {{0}}, square[4] = {{0}};                                                    \
        int living = 0;                                                                           \
        ptrdiff_t c = 0;                                                                          \
        for (; columns - c >= 4 * LANES; c += 4 * LANES)                                          \
            living += fg_see_columns##SUFFIX(y + c, slope ? slope + c : slope, rows, columns, 4,  \
                                             kind, low, middle, LANES, sum, square,               \
                                             alive ? alive + c : alive);                          \
        for (; columns - c >= LANES; c += LANES)                                                  \
            living += fg_see_columns##SUFFIX(y + c, slope ? slope + c : slope, rows, columns, 1,  \
                                             kind, low, middle, LANES, sum, square,               \
                                             alive ? alive + c : alive);                          \
        if (c < columns)                                                                          \
            living += fg_see_columns##SUFFIX(y + c, slope ? slope + c : slope, rows, columns, 1,  \
                                             kind, low, middle, columns - c, sum, square,         \
                                             alive ? alive + c : alive);                          \
        for (int j = 0; j < 2; j++) {                                                             \
            sum[j] += sum[j + 2];                                                                 \
            square[j] += square[j + 2];                                                           \
        }                                                                                         \
        const double n = (double)(rows * columns);                                                \
        part[0] = (double)fg_add_all##SUFFIX(sum[0] + sum[1]);                                    \
        part[1] = (double)fg_add_all##SUFFIX(square[0] + square[1]);                              \
        part[2] = living;                                                                         \
        /* what is left of the squares beside the mean is lost where it is a small part of them */\
        const double rest = n * part[1] - part[0] * part[0];                                      \
        if (!(FG_WITHIN(part[1], LOW, HIGH) && rest > 1e-4 * n * part[1]))                        \
            fg_sum_exactly##SUFFIX(y, rows * columns, part);                                      \
    }                                                                                             \
    FG_INLINE void fg_see_rows_as##SUFFIX(const REAL *y, const REAL *slope, ptrdiff_t rows,       \
                                          ptrdiff_t columns, int kind, REAL low, REAL middle,     \
                                          double *parts, REAL *alive)                             \
    {                                                                                             \
        for (ptrdiff_t r = 0; r < rows; r += FG_PROBE_ROWS) {                                     \
            ptrdiff_t some = rows - r < FG_PROBE_ROWS ? rows - r : FG_PROBE_ROWS, wide = columns; \
            if (!kind && columns < FG_LANES##SUFFIX) /* nothing is asked of columns */            \
                wide = some * columns, some = 1;                                                  \
            fg_see_part##SUFFIX(y + r * columns, slope ? slope + r * columns : slope, some, wide, \
                                kind, low, middle, parts + 3 * (r / FG_PROBE_ROWS), alive);       \
        }                                                                                         \
    }                                                                                             \
    static __attribute__((noinline, unused)) void fg_see_rows##SUFFIX(                            \
        const REAL *y, const REAL *slope, ptrdiff_t rows, ptrdiff_t columns, REAL low, REAL high, \
        double *parts, REAL *alive)                                                               \
    {                                                                                             \
        const REAL middle = (low + high) / 2, half = (high - low) / 2;                            \
        if (!alive)                                                                               \
            fg_see_rows_as##SUFFIX(y, NULL, rows, columns, 0, 0, 0, parts, NULL);                 \
        else if (slope)                                                                           \
            fg_see_rows_as##SUFFIX(y, slope, rows, columns, FG_BY_SLOPE, low, 0, parts, alive);   \
        else if (high == INFINITY)                                                                \
            fg_see_rows_as##SUFFIX(y, NULL, rows, columns, FG_ABOVE, low, 0, parts, alive);       \
        else                                                                                      \
            fg_see_rows_as##SUFFIX(y, NULL, rows, columns, FG_BETWEEN, -half * half, middle,      \
                                   parts, alive);                                                 \
    }                                                                                             \
                                                                                                  \
    /* sums: that of the squares of each so many elements of x. */                                \
    static __attribute__((noinline, unused)) void fg_see_squares##SUFFIX(                         \
        const REAL *x, ptrdiff_t n, ptrdiff_t each, double *sums)                                 \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                              \
        for (; n > 0; x += each, n -= each) {                                                     \
            const ptrdiff_t own = n < each ? n : each;                                            \
            VEC squares[4] = {{0}};                                                               \
            ptrdiff_t i = 0;                                                                      \
            for (; own - i >= 4 * LANES; i += 4 * LANES)                                          \
                for (int j = 0; j < 4; j++) {                                                     \
                    const VEC v = *(const VEC *)(x + i + j * LANES);                              \
                    squares[j] += v * v;                                                          \
                }                                                                                 \
            for (; i < own; i += LANES) {                                                         \
                const VEC v = own - i < LANES ? fg_load_part##SUFFIX(x + i, own - i)              \
                                              : *(const VEC *)(x + i);                            \
                squares[0] += v * v;                                                              \
            }                                                                                     \
            squares[0] += squares[2];                                                             \
            squares[1] += squares[3];                                                             \
            double sum = (double)fg_add_all##SUFFIX(squares[0] + squares[1]);                     \
            if (!(FG_WITHIN(sum, LOW, HIGH))) {                                                   \
                const double norm = fg_safe_norm##SUFFIX(x, NULL, own);                           \
                sum = norm * norm;                                                                \
            }                                                                                     \
            *sums++ = sum;                                                                        \
        }                                                                                         \
    }

FG_PROBE(_f32, float, fg_vec_f32, int32_t, fg_ints_f32, 0x7f800000, 0x00800000, 1e-15f, 1e15f)
FG_PROBE(_f64, double, fg_vec_f64, int64_t, fg_ints_f64, 0x7ff0000000000000, 0x0010000000000000,
         1e-145, 1e145)
#endif
