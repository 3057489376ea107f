/* What the layer-normalized LSTM does elementwise beside fg_lstm_row, for one sequence at one step:
 * the output gate, which sees a normalized state, and the way back. */
#ifndef FG_LSTM_NORM_H
#define FG_LSTM_NORM_H
#include <stddef.h>

#include "fg_math.h"
#include "fg_norm.h"

#define FG_EACH(k, n) _Pragma("GCC ivdep") for (ptrdiff_t k = 0; k < (n); k++)

#define FG_LSTM_NORM(SUFFIX, REAL)                                                               \
    /* one copy of each, not one for each place that calls it */                                 \
    static __attribute__((noinline)) void fg_norm_row##SUFFIX(                                   \
        const REAL *x, const REAL *w, const REAL *b, ptrdiff_t n, double eps, REAL *y,           \
        double *mean, double *scale)                                                             \
    {                                                                                            \
        fg_norm_forward##SUFFIX(x, w, b, n, 1, eps, y, mean, scale);                             \
    }                                                                                            \
    static __attribute__((noinline)) void fg_norm_row_back##SUFFIX(                              \
        const REAL *x, const REAL *w, const REAL *dy, ptrdiff_t n, double mean, double scale,    \
        REAL *dx)                                                                                \
    {                                                                                            \
        fg_norm_backward##SUFFIX(x, w, dy, n, 1, mean, scale, dx);                               \
    }                                                                                            \
                                                                                                 \
    /* seen becomes its tanh */                                                                  \
    static void fg_lstm_norm_row##SUFFIX(ptrdiff_t n, const REAL *o, REAL *seen, REAL *h)        \
    {                                                                                            \
        FG_EACH(k, n)                                                                            \
        {                                                                                        \
            const REAL t = fg_tanh##SUFFIX(seen[k]);                                             \
            seen[k] = t;                                                                         \
            h[k] = o[k] * t;                                                                     \
        }                                                                                        \
    }                                                                                            \
                                                                                                 \
    /* dh is what reaches h; o and seen become the gradients of what they are functions of. */   \
    static void fg_lstm_norm_out_back##SUFFIX(ptrdiff_t n, const REAL *carried, const REAL *dy,  \
                                              REAL *o, REAL *seen, REAL *dh)                     \
    {                                                                                            \
        FG_EACH(k, n)                                                                            \
        {                                                                                        \
            const REAL d = dy ? carried[k] + dy[k] : carried[k], out = o[k], t = seen[k];        \
            dh[k] = d;                                                                           \
            o[k] = d * t * out * (1 - out);                                                      \
            seen[k] = d * out * (1 - t * t);                                                     \
        }                                                                                        \
    }                                                                                            \
                                                                                                 \
    /* dc is carried in from the step after and out to the step before; dc_all is what comes to  \
     * c through h, then all that reaches c. Gates i, f, g become the gradient of their sums. */ \
    static void fg_lstm_norm_cell_back##SUFFIX(ptrdiff_t n, REAL *gates, const REAL *before,     \
                                               REAL *dc, REAL *dc_all)                           \
    {                                                                                            \
        REAL *const i = gates, *const f = gates + n, *const g = gates + 2 * n;                   \
        FG_EACH(k, n)                                                                            \
        {                                                                                        \
            const REAL in = i[k], keep = f[k], new = g[k], e = dc[k] + dc_all[k];                \
            dc_all[k] = e;                                                                       \
            dc[k] = e * keep;                                                                    \
            i[k] = e * new * in * (1 - in);                                                      \
            f[k] = e * before[k] * keep * (1 - keep);                                            \
            g[k] = e * in * (1 - new * new);                                                     \
        }                                                                                        \
    }
FG_LSTM_NORM(_f32, float)
FG_LSTM_NORM(_f64, double)
#undef FG_EACH
#endif
