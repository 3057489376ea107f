# What every kernel shares: the two dtypes, the recorded call, shares of work.
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

ctypedef fused real:
    float
    double

cdef extern from "fg_team.h" nogil:
    ctypedef struct Barrier "fg_barrier":
        pass
    ctypedef struct Team "fg_team":
        int rank
        int size
        int used
        Barrier *meet
        Barrier *inner
    ctypedef void (*Kernel "fg_kernel")(const void *args, Team *team, void *scratch) noexcept
    ctypedef struct Call "fg_call":
        Kernel run
        double work
        ptrdiff_t rows_in
        ptrdiff_t rows_out
        double shared
        bint linked
        long long args[44]
    long long team_meet "fg_team_meet"(Team *team, const long long *flag)
    void team_wait "fg_team_wait"(Team *team)
    int team_worth "fg_team_worth"(double work, int size)
    void team_share "fg_team_share"(const Team *team, ptrdiff_t n, ptrdiff_t grain,
                                    ptrdiff_t *low, ptrdiff_t *high)
    void team_rows "fg_team_rows"(const Team *team, ptrdiff_t n, ptrdiff_t *low, ptrdiff_t *high)
    void link "fg_link"(Call *calls, ptrdiff_t n)
    void raise_flag "fg_raise_flag"(long long *flag)
    long long read_flag "fg_read_flag"(const long long *flag)
    double seconds "fg_seconds"()


cdef extern from "fg_denormal.h" nogil:
    ctypedef unsigned long long Mode "fg_mode"
    Mode flush_denormals "fg_flush_denormals"()
    Mode keep_denormals "fg_keep_denormals"()
    void set_mode "fg_mode_set"(Mode mode)
