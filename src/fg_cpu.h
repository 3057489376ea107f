/* Which instruction-set level this processor and its operating system run: 0 base, 3, 4.
 * The whole level is asked for, not only its best-known feature: x86-64-v3 and v4 as the psABI
 * defines them. Compiled without flags of any level. */
#ifndef FG_CPU_H
#define FG_CPU_H
static int fg_cpu_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init(); /* includes the XGETBV test of what the system saves */
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
          && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")))
        return 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl"))
        return 4;
    return 3;
#else
    return 0;
#endif
}
#endif
