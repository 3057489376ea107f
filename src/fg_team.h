/* A recorded kernel call, and the team of threads that replays it.
 *
 * Every thread of a team walks the same list of calls; inside a call each takes its share of the
 * output, and a barrier stands between calls. A share depends on sizes alone, never on timing, and
 * no sum is ever split, so the result does not depend on the number of threads.
 */
#ifndef FG_TEAM_H
#define FG_TEAM_H
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

typedef struct {
    _Alignas(64) int arrived;
    _Alignas(64) int generation;
} fg_barrier;

typedef struct {
    int rank, size;
    fg_barrier *barrier;
} fg_team;

/* args: the kernel's own struct of arguments; scratch: FG_SCRATCH reals that are this thread's */
typedef void (*fg_kernel)(const void *args, fg_team *team, void *scratch);

typedef struct {
    fg_kernel run;
    long long args[31];
} fg_call;

/* Work, in multiply-adds or their like, below which a second thread costs more than it brings. */
#define FG_SERIAL_WORK 100e3

/* Nobody goes on before all have come. */
static inline void fg_team_wait(fg_team *team)
{
    if (team->size == 1) return;
    fg_barrier *b = team->barrier;
    const int generation = __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_ACQ_REL) == team->size) {
        __atomic_store_n(&b->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&b->generation, generation + 1, __ATOMIC_RELEASE);
        return;
    }
    /* spinning is right for the microseconds a call takes; when a core is missing, give way */
    for (int spins = 0; __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE) == generation; spins++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        if (spins > 1000) sched_yield();
    }
}

/* How many threads of the team a piece of work is worth. */
static inline int fg_team_size_for(const fg_team *team, double work)
{
    const double worth = work / FG_SERIAL_WORK;
    return worth >= team->size ? team->size : worth > 1 ? (int)worth : 1;
}

/* [*low, *high): the part of range(n) that this thread does when `used` threads share it, cut at
 * multiples of grain. */
static inline void fg_team_share(const fg_team *team, int used, ptrdiff_t n, ptrdiff_t grain,
                                 ptrdiff_t *low, ptrdiff_t *high)
{
    const ptrdiff_t pieces = (n + grain - 1) / grain;
    const ptrdiff_t rank = team->rank < used ? team->rank : used;
    const ptrdiff_t from = pieces * rank / used * grain;
    const ptrdiff_t to = rank < used ? pieces * (rank + 1) / used * grain : n;
    *low = from < n ? from : n;
    *high = to < n ? to : n;
}

/* Kernels raise the flag from any thread; all read it between two barriers. */
static inline void fg_raise_flag(long long *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
static inline long long fg_read_flag(const long long *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static inline double fg_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif
