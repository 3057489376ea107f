/* Which instruction-set level this processor and its operating system run: 0 base, 3, 4.
 * The whole level is asked for, not only its best-known feature: x86-64-v3 and v4 as the psABI
 * defines them. Compiled without flags of any level. */
#ifndef FG_CPU_H
#define FG_CPU_H
#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 18 : __GNUC__ >= 12)
#define FG_RUNS_V3 __builtin_cpu_supports("x86-64-v3")
#define FG_RUNS_V4 __builtin_cpu_supports("x86-64-v4")
#elif defined(__x86_64__) /* older compilers know features only, and not all of a level's */
#define FG_RUNS_V3                                                     \
    (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") \
     && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
#define FG_RUNS_V4                                                              \
    (FG_RUNS_V3 && __builtin_cpu_supports("avx512f")                           \
     && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") \
     && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
#endif

static int fg_cpu_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); /* includes the XGETBV test of what the system saves */
    return FG_RUNS_V4 ? 4 : FG_RUNS_V3 ? 3 : 0;
#else
    return 0;
#endif
}
#endif
