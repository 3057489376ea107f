/* Numbers below the smallest normal one count as zero while a program runs.
 *
 * Many processors multiply them 100 times slower, and a vanishing gradient, or the mean that Adam
 * keeps of one that is gone, is full of them. The mode is the thread's: it is switched on for the
 * calls of a replay and given back after it, and while Python runs.
 */
#ifndef FG_DENORMAL_H
#define FG_DENORMAL_H
#if defined(__x86_64__)
#include <xmmintrin.h>
typedef unsigned int fg_mode;
enum { FG_FLUSH = 0x8040 }; /* results to zero, and operands as zero */
static inline fg_mode fg_mode_get(void) { return _mm_getcsr(); }
static inline void fg_mode_set(fg_mode mode) { _mm_setcsr(mode); }
#elif defined(__aarch64__)
typedef unsigned long long fg_mode;
enum { FG_FLUSH = 1 << 24 };
static inline fg_mode fg_mode_get(void)
{
    fg_mode mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void fg_mode_set(fg_mode mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#else
typedef unsigned int fg_mode;
enum { FG_FLUSH = 0 };
static inline fg_mode fg_mode_get(void) { return 0; }
static inline void fg_mode_set(fg_mode mode) { (void)mode; }
#endif

/* Both return the mode from before, for fg_mode_set. */
static inline fg_mode fg_flush_denormals(void)
{
    const fg_mode before = fg_mode_get();
    fg_mode_set(before | FG_FLUSH);
    return before;
}
static inline fg_mode fg_keep_denormals(void)
{
    const fg_mode before = fg_mode_get();
    fg_mode_set(before & ~(fg_mode)FG_FLUSH);
    return before;
}
#endif
