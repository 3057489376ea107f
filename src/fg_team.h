/* A recorded kernel call, and the team of threads that replays it.
 *
 * Every thread of a team walks the same list of calls. As many of them as a call is worth run it,
 * each its share of the output, and a barrier stands before and after a call that is shared. A
 * share depends on sizes alone, never on timing, and no sum is ever split, so the result does not
 * depend on the number of threads.
 *
 * Calls that hand a batch on by rows are linked: every thread keeps its own rows from one call to
 * the next, in its own cache, with no barrier in between, and the chain is shared as one call.
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
    long long flag; /* as the last to arrive saw it */
} fg_barrier;

typedef struct {
    int rank, size;
    int used;          /* the threads that share the call now running: those of rank < used */
    fg_barrier *meet;  /* of all threads, between calls */
    fg_barrier *inner; /* of the used threads, inside a call */
} fg_team;

/* args: the kernel's own struct of arguments; scratch: FG_SCRATCH reals that are this thread's */
typedef void (*fg_kernel)(const void *args, fg_team *team, void *scratch);

typedef struct {
    fg_kernel run;
    double work; /* in multiply-adds or their like */
    /* The rows of the batch if this call reads what the last one wrote, or writes what the next
     * one reads, only in the thread's own rows (fg_team_rows); 0 if not. */
    ptrdiff_t rows_in, rows_out;
    double shared; /* set by fg_link: work of the chain, as far as its rows can be shared */
    int linked;    /* set by fg_link: whether the next call follows without a barrier */
    long long args[44];
} fg_call;

enum {
    FG_ROWS = 8,        /* a thread's rows of a batch are whole register tiles */
    FG_LEAST_ROWS = 16, /* fewer, and reading the weights costs more than multiplying by them */
};

/* Work for which one more thread costs more than it brings: some 0.5 us of AVX-512. */
#define FG_SERIAL_WORK 100e3

/* Kernels raise the flag from any thread. Whether it is up, fg_team_meet tells. */
static inline void fg_raise_flag(long long *flag) { __atomic_store_n(flag, 1, __ATOMIC_RELAXED); }
static inline long long fg_read_flag(const long long *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

/* Nobody goes on before `size` threads have come. All are told the same about the flag, even if one
 * of those that go on raises it before another has returned from here. */
static inline long long fg_barrier_wait(fg_barrier *b, int size, const long long *flag)
{
    if (size == 1) return fg_read_flag(flag);
    const int generation = __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&b->arrived, 1, __ATOMIC_ACQ_REL) == size) {
        b->flag = fg_read_flag(flag);
        __atomic_store_n(&b->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&b->generation, generation + 1, __ATOMIC_RELEASE);
        return b->flag;
    }
    /* spinning is right for the microseconds a call takes; when a core is missing, give way */
    for (int spins = 0; __atomic_load_n(&b->generation, __ATOMIC_ACQUIRE) == generation; spins++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        if (spins > 1000) sched_yield();
    }
    return b->flag;
}

static inline long long fg_team_meet(fg_team *team, const long long *flag)
{
    return fg_barrier_wait(team->meet, team->size, flag);
}
static inline void fg_team_wait(fg_team *team)
{
    const long long none = 0;
    fg_barrier_wait(team->inner, team->used, &none);
}

/* How many of `size` threads a call is worth. */
static inline int fg_team_worth(double work, int size)
{
    const double worth = work / FG_SERIAL_WORK;
    return worth >= size ? size : worth > 1 ? (int)worth : 1;
}

/* [*low, *high): this thread's part of range(n), cut at multiples of grain. */
static inline void fg_team_share(const fg_team *team, ptrdiff_t n, ptrdiff_t grain,
                                 ptrdiff_t *low, ptrdiff_t *high)
{
    const ptrdiff_t pieces = (n + grain - 1) / grain;
    const ptrdiff_t from = pieces * team->rank / team->used * grain;
    const ptrdiff_t to = pieces * (team->rank + 1) / team->used * grain;
    *low = from < n ? from : n;
    *high = to < n ? to : n;
}

static inline void fg_team_rows(const fg_team *team, ptrdiff_t n, ptrdiff_t *low, ptrdiff_t *high)
{
    fg_team_share(team, n, FG_ROWS, low, high);
}

/* Finds the chains in a list of calls. */
static inline void fg_link(fg_call *calls, ptrdiff_t n)
{
    for (ptrdiff_t first = 0, last; first < n; first = last + 1) {
        double work = calls[first].work;
        for (last = first; last + 1 < n && calls[last].rows_out
                           && calls[last].rows_out == calls[last + 1].rows_in; last++)
            work += calls[last + 1].work;
        if (last > first) {
            const double pieces = (double)calls[first].rows_out / FG_LEAST_ROWS;
            const double most = FG_SERIAL_WORK * (pieces > 1 ? pieces : 1);
            work = work < most ? work : most;
        }
        for (ptrdiff_t i = first; i <= last; i++) {
            calls[i].shared = work;
            calls[i].linked = i < last;
        }
    }
}

static inline double fg_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif
