/* SGD and Adam over some elements, and a look at each of them on the way: where the loop waits for
 * memory, or for roots and quotients, the look costs little.
 */
#ifndef FG_UPDATE_H
#define FG_UPDATE_H
#include "fg_probe.h"

enum { /* what the numbers of a pass are; rate means the same in both */
    FG_RATE, FG_BETA1, FG_REST1, FG_BETA2, FG_REST2, FG_CORRECTION, FG_EPS, FG_COUPLED, FG_SHRINK,
    FG_NUMBERS,
    FG_KEEP = 1, FG_ADD, FG_DECAY, FG_LOOK,
};

#define FG_UPDATE(SUFFIX, REAL, VEC)                                                              \
    FG_INLINE VEC fg_some##SUFFIX(const REAL *x, ptrdiff_t part)                                  \
    {                                                                                             \
        return part ? fg_load_part##SUFFIX(x, part) : *(const VEC *)x;                            \
    }                                                                                             \
    FG_INLINE void fg_put_some##SUFFIX(REAL *x, VEC v, ptrdiff_t part)                            \
    {                                                                                             \
        if (part)                                                                                 \
            fg_store_part##SUFFIX(x, v, part);                                                    \
        else                                                                                      \
            *(VEC *)x = v;                                                                        \
    }                                                                                             \
    FG_INLINE void fg_adam_lanes##SUFFIX(const REAL *g, REAL *p, REAL *mean, REAL *square,        \
                                         const REAL *c, int decay, ptrdiff_t part,                \
                                         fg_watch##SUFFIX *w, int j)                              \
    {                                                                                             \
        const VEC x = fg_some##SUFFIX(g, part), before = fg_some##SUFFIX(p, part);                \
        VEC d = x, kept = before;                                                                 \
        if (decay) {                                                                              \
            d = x + c[FG_COUPLED] * before;                                                       \
            kept = c[FG_SHRINK] * before;                                                         \
        }                                                                                         \
        const VEC m = c[FG_BETA1] * fg_some##SUFFIX(mean, part) + c[FG_REST1] * d;                \
        const VEC s = c[FG_BETA2] * fg_some##SUFFIX(square, part) + c[FG_REST2] * d * d;          \
        const VEC step = c[FG_RATE] * m / (fg_root##SUFFIX(s) * c[FG_CORRECTION] + c[FG_EPS]);    \
        const VEC after = kept - step;                                                            \
        fg_put_some##SUFFIX(mean, m, part);                                                       \
        fg_put_some##SUFFIX(square, s, part);                                                     \
        fg_put_some##SUFFIX(p, after, part);                                                      \
        if (w) {                                                                                  \
            fg_watch_gradient##SUFFIX(w, j, x);                                                   \
            fg_watch_update##SUFFIX(w, j, before, after);                                         \
        }                                                                                         \
    }                                                                                             \
    FG_INLINE void fg_sgd_lanes##SUFFIX(const REAL *g, REAL *p, REAL *velocity, const REAL *c,    \
                                        ptrdiff_t part, fg_watch##SUFFIX *w, int j)               \
    {                                                                                             \
        const VEC x = fg_some##SUFFIX(g, part), before = fg_some##SUFFIX(p, part);                \
        const VEC d = x + c[FG_DECAY] * before;                                                   \
        VEC after = before - c[FG_LOOK] * d;                                                      \
        if (velocity) {                                                                           \
            const VEC v = c[FG_KEEP] * fg_some##SUFFIX(velocity, part) + c[FG_ADD] * d;           \
            fg_put_some##SUFFIX(velocity, v, part);                                               \
            after = before - (c[FG_LOOK] * d + c[FG_RATE] * v);                                   \
        }                                                                                         \
        fg_put_some##SUFFIX(p, after, part);                                                      \
        if (w) {                                                                                  \
            fg_watch_gradient##SUFFIX(w, j, x);                                                   \
            fg_watch_update##SUFFIX(w, j, before, after);                                         \
        }                                                                                         \
    }                                                                                             \
    FG_INLINE void fg_update_as##SUFFIX(const REAL *g, REAL *p, REAL *first, REAL *second,        \
                                        ptrdiff_t n, const REAL *c, int adam, int decay,          \
                                        fg_watch##SUFFIX *into)                                   \
    {                                                                                             \
        enum { LANES = sizeof(VEC) / sizeof(REAL) };                                              \
        fg_watch##SUFFIX own = {0}, *w = into ? &own : NULL; /* own stays in registers */         \
        ptrdiff_t i = 0;                                                                          \
        for (; n - i >= 2 * LANES; i += 2 * LANES)                                                \
            for (int j = 0; j < 2; j++) {                                                         \
                const ptrdiff_t k = i + j * LANES;                                                \
                if (adam)                                                                         \
                    fg_adam_lanes##SUFFIX(g + k, p + k, first + k, second + k, c, decay, 0, w, j);\
                else                                                                              \
                    fg_sgd_lanes##SUFFIX(g + k, p + k, first ? first + k : first, c, 0, w, j);    \
            }                                                                                     \
        for (; i < n; i += LANES) {                                                               \
            const ptrdiff_t part = n - i < LANES ? n - i : 0;                                     \
            if (adam)                                                                             \
                fg_adam_lanes##SUFFIX(g + i, p + i, first + i, second + i, c, decay, part, w, 0); \
            else                                                                                  \
                fg_sgd_lanes##SUFFIX(g + i, p + i, first ? first + i : first, c, part, w, 0);     \
        }                                                                                         \
        if (into) *into = own;                                                                    \
    }                                                                                             \
    /* Sums that have left their range show it to the next step, which takes the long way. */     \
    static __attribute__((noinline, unused)) void fg_say_update##SUFFIX(fg_watch##SUFFIX *w,      \
                                                                const REAL *g, ptrdiff_t n,       \
                                                                double *seen, double *moved)      \
    {                                                                                             \
        if (seen) fg_say_gradient##SUFFIX(w, g, n, seen);                                         \
        moved[0] = sqrt((double)fg_add_all##SUFFIX(w->weights[0] + w->weights[1]));               \
        moved[1] = sqrt((double)fg_add_all##SUFFIX(w->steps[0] + w->steps[1]));                   \
    }                                                                                             \
    static __attribute__((noinline, unused)) void fg_adam##SUFFIX(                                \
        const REAL *g, REAL *p, REAL *mean, REAL *square, ptrdiff_t n, const double *numbers,     \
        double *seen, double *moved)                                                              \
    {                                                                                             \
        fg_watch##SUFFIX w;                                                                       \
        REAL c[FG_NUMBERS];                                                                       \
        for (int i = 0; i < FG_NUMBERS; i++) c[i] = (REAL)numbers[i];                             \
        /* two operations less, for which the plain pass has no room */                           \
        const int decay = c[FG_COUPLED] != 0 || c[FG_SHRINK] != 1;                                \
        if (moved && decay)                                                                       \
            fg_update_as##SUFFIX(g, p, mean, square, n, c, 1, 1, &w);                             \
        else if (moved)                                                                           \
            fg_update_as##SUFFIX(g, p, mean, square, n, c, 1, 0, &w);                             \
        else if (decay)                                                                           \
            fg_update_as##SUFFIX(g, p, mean, square, n, c, 1, 1, NULL);                           \
        else                                                                                      \
            fg_update_as##SUFFIX(g, p, mean, square, n, c, 1, 0, NULL);                           \
        if (moved) fg_say_update##SUFFIX(&w, g, n, seen, moved);                                  \
    }                                                                                             \
    static __attribute__((noinline, unused)) void fg_sgd##SUFFIX(                                 \
        const REAL *g, REAL *p, REAL *velocity, ptrdiff_t n, const double *numbers, double *seen, \
        double *moved)                                                                            \
    {                                                                                             \
        fg_watch##SUFFIX w;                                                                       \
        REAL c[FG_NUMBERS];                                                                       \
        for (int i = 0; i < FG_NUMBERS; i++) c[i] = (REAL)numbers[i];                             \
        if (moved && velocity)                                                                    \
            fg_update_as##SUFFIX(g, p, velocity, NULL, n, c, 0, 0, &w);                           \
        else if (moved)                                                                           \
            fg_update_as##SUFFIX(g, p, NULL, NULL, n, c, 0, 0, &w);                               \
        else if (velocity)                                                                        \
            fg_update_as##SUFFIX(g, p, velocity, NULL, n, c, 0, 0, NULL);                         \
        else                                                                                      \
            fg_update_as##SUFFIX(g, p, NULL, NULL, n, c, 0, 0, NULL);                             \
        if (moved) fg_say_update##SUFFIX(&w, g, n, seen, moved);                                  \
    }

FG_UPDATE(_f32, float, fg_vec_f32)
FG_UPDATE(_f64, double, fg_vec_f64)
#endif
