/* The fused-multiply-add peak of one core: 12 independent chains hide the latency (2 units x 4-5
 * cycles), and no memory is touched. The asm keeps the compiler from shortening the chains. */
#ifndef FG_PEAK_H
#define FG_PEAK_H
#include "fg_simd.h"

#if defined(__x86_64__)
#define FG_KEEP(v) __asm__ volatile("" : "+v"(v))
#else
#define FG_KEEP(v) __asm__ volatile("" : "+w"(v))
#endif
#define FG_CHAIN(v) v = v * b + c; FG_KEEP(v);
#define FG_PEAK(name, VEC, LANES)                                                               \
    /* Runs n rounds and returns their floating-point operations. */                            \
    static double name(long n)                                                                  \
    {                                                                                           \
        VEC b = (VEC){0} + 1, c = (VEC){0} + 1;                                                 \
        VEC v0 = b, v1 = b, v2 = b, v3 = b, v4 = b, v5 = b, v6 = b, v7 = b, v8 = b, v9 = b;     \
        VEC v10 = b, v11 = b;                                                                   \
        for (long i = 0; i < n; i++) {                                                          \
            FG_CHAIN(v0) FG_CHAIN(v1) FG_CHAIN(v2) FG_CHAIN(v3) FG_CHAIN(v4) FG_CHAIN(v5)       \
            FG_CHAIN(v6) FG_CHAIN(v7) FG_CHAIN(v8) FG_CHAIN(v9) FG_CHAIN(v10) FG_CHAIN(v11)     \
        }                                                                                       \
        return 2.0 * 12 * LANES * (double)n;                                                    \
    }
FG_PEAK(fg_peak_f32, fg_vec_f32, FG_LANES_f32)
FG_PEAK(fg_peak_f64, fg_vec_f64, FG_LANES_f64)
#endif
