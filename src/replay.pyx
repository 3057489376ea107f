# The replay of a recorded program: one native call, without the GIL, for any number of minibatches.
#
# design:
#  a) A segment is a list of calls and how often it is to be run; one replay takes several segments
#     (the full minibatches, then the ragged last one). All threads of the team walk the same list.
#  b) Nothing is allocated while it runs. Scratch belongs to the replay, one piece per thread.
#  c) It stops after the call that raised the status flag, after a Python layer that raised, or,
#     at the end of a segment or of a long call, when a signal handler raises. What the flag is,
#     the threads learn where they meet, all the same, so that none is left waiting.
#  d) The calls of a segment from its commit on run all or none: they change what outlives it.
cimport openmp
from cpython.exc cimport PyErr_CheckSignals
from cython.parallel cimport parallel
from libc.stdlib cimport free

from _core cimport (
    Barrier, Call, Mode, Team, flush_denormals, keep_denormals, link, memcpy, memset, ptrdiff_t,
    raise_flag, read_flag, seconds, set_mode, team_meet, team_worth,
)
from _record cimport cnp, data, record

cnp.import_array()

cdef extern from "stdlib.h" nogil:
    int posix_memalign(void **p, size_t alignment, size_t size)

cdef double SIGNALS_EVERY = 0.05  # seconds between two looks for Ctrl-C
cdef double LONG = 1e7  # work of a call after which looking at the clock costs nothing


def max_threads():
    """What OpenMP would use: OMP_NUM_THREADS, or the number of cores this process may run on."""
    return openmp.omp_get_max_threads()


cdef struct Python:
    void *function
    void *replay


cdef void run_python(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef Mode mode = keep_denormals()
    call_python(<const Python *>args)
    set_mode(mode)


cdef void call_python(const Python *a) noexcept with gil:
    try:
        (<object>a.function)()
    except BaseException as error:
        (<Replay>a.replay).stop_with(error)


cdef class Replay:
    """Calls recorded by the kernels of one level, ready to run.

    Parameters
    ----------
    segments : list of list
        Each call as the bytes that a kernel recorded, or a Python function of no arguments.
    commits : list of int
        The place of the first call in each segment after which no signal may stop it.
    status : int64[1]
        Becomes nonzero where a kernel asks to stop.
    scratch_bytes : int
        What the kernels of this level need for each thread.
    keep : object
        Whatever owns the memory that the calls point to.
    """
    cdef Call *calls
    cdef double most_shared
    cdef list bounds
    cdef long long *status
    cdef char *scratch
    cdef ptrdiff_t scratch_bytes
    cdef int scratch_threads
    cdef object keep, error
    cdef bint busy, slow

    def __cinit__(self, list segments, list commits, status, ptrdiff_t scratch_bytes, keep):
        cdef ptrdiff_t total = sum(len(segment) for segment in segments), i = 0, start, commit
        cdef bytes one
        cdef Python python
        self.keep = (segments, status, keep)
        self.status = <long long *>data(status)
        self.scratch_bytes = (scratch_bytes + 4095) // 4096 * 4096
        if posix_memalign(<void **>&self.calls, 64, max(total, 1) * sizeof(Call)):
            raise MemoryError()
        self.bounds = []
        for segment, commit in zip(segments, commits, strict=True):
            start = i
            for call in segment:
                if isinstance(call, bytes):
                    one = call
                else:
                    python = Python(<void *>call, <void *>self)
                    one = record(<void *>run_python, &python, sizeof(python), 0)
                memcpy(&self.calls[i], <const char *>one, sizeof(Call))
                i += 1
            link(self.calls + start, i - start)
            self.bounds.append((start, i, commit))
        for i in range(total):
            self.most_shared = max(self.most_shared, self.calls[i].shared)
            self.slow |= self.calls[i].work > LONG

    def __dealloc__(self):
        free(self.calls)
        free(self.scratch)

    cdef void stop_with(self, error) noexcept:
        self.error = error
        raise_flag(self.status)

    cdef int start(self, int threads) except -1:
        """How many threads it is worth, each of them with its scratch."""
        if self.busy:
            raise RuntimeError("this program runs already, in another thread or around this call")
        threads = team_worth(self.most_shared, threads)
        if threads > self.scratch_threads:
            free(self.scratch)
            self.scratch = NULL
            self.scratch_threads = 0
            if posix_memalign(<void **>&self.scratch, 4096, threads * self.scratch_bytes):
                raise MemoryError()
            self.scratch_threads = threads
        self.status[0] = 0
        self.busy = True
        return threads

    cdef int finish(self) except -1:
        self.busy = False
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return 0

    def run(self, list times, int threads):
        """Runs segment i times[i] times, one segment after the other, unless status stops it."""
        cdef ptrdiff_t start, stop, commit, count
        assert len(times) == len(self.bounds)
        threads = self.start(threads)
        for (start, stop, commit), count in zip(self.bounds, times):
            if not self.status[0]:
                self.run_segment(self.calls + start, stop - start, commit, count, threads)
        self.finish()

    def call(self, cnp.ndarray x, cnp.ndarray into, cnp.ndarray out, int threads):
        """A copy of `out` after x is copied to `into` and the only segment has run once."""
        cdef ptrdiff_t _, stop, commit
        _, stop, commit = self.bounds[0]
        threads = self.start(threads)
        try:
            cnp.PyArray_CopyInto(into, x)
        except BaseException:
            self.busy = False
            raise
        self.run_segment(self.calls, stop, commit, 1, threads)
        self.finish()
        return cnp.PyArray_NewCopy(out, cnp.NPY_CORDER)

    cdef void run_segment(self, const Call *calls, ptrdiff_t n, ptrdiff_t commit,
                          ptrdiff_t times, int threads):
        cdef Barrier[2] barriers
        cdef Team alone
        memset(barriers, 0, sizeof(barriers))
        if threads == 1:  # never through OpenMP: a forked child could not
            alone = Team(0, 1, 1, &barriers[0], &barriers[1])
            with nogil:
                self.walk(calls, n, commit, times, &alone)
        else:
            with nogil, parallel(num_threads=threads):
                self.join(calls, n, commit, times, barriers)

    cdef void join(self, const Call *calls, ptrdiff_t n, ptrdiff_t commit, ptrdiff_t times,
                   Barrier *barriers) noexcept nogil:
        # OpenMP may grant fewer threads than were asked for
        cdef Team team = Team(openmp.omp_get_thread_num(), openmp.omp_get_num_threads(), 1,
                              &barriers[0], &barriers[1])
        self.walk(calls, n, commit, times, &team)

    cdef void walk(self, const Call *calls, ptrdiff_t n, ptrdiff_t commit, ptrdiff_t times,
                   Team *team) noexcept nogil:
        cdef Mode before = flush_denormals()
        self.go_through(calls, n, commit, times, team)
        set_mode(before)

    cdef void go_through(self, const Call *calls, ptrdiff_t n, ptrdiff_t commit, ptrdiff_t times,
                         Team *team) noexcept nogil:
        cdef char *scratch = self.scratch + team.rank * self.scratch_bytes
        cdef ptrdiff_t i, _
        cdef int used, following
        cdef bint look = times > 1 or self.slow  # else Python does it itself, right after
        cdef double looked = seconds() if look else 0, now
        cdef Mode mode
        for _ in range(times):
            used = team_worth(calls[0].shared, team.size)
            for i in range(n):
                following = team_worth(calls[i + 1].shared, team.size) if i + 1 < n else team.size
                # Only rank 0 runs calls that are not shared, without meeting the others in between;
                # a flag raised by one of them keeps it from the next.
                if team.rank < used and not (used == 1 and read_flag(self.status)):
                    team.used = used
                    calls[i].run(calls[i].args, team, scratch)
                if (look and team.rank == 0
                        and (i == n - 1 or calls[i].work > LONG and i < commit)):
                    now = seconds()
                    if now - looked > SIGNALS_EVERY:
                        looked = now
                        mode = keep_denormals()
                        self.look_for_signals()
                        set_mode(mode)
                if calls[i].linked:
                    continue
                if used > 1 or following > 1 or team.size == 1 or i == n - 1:
                    if team_meet(team, self.status):
                        return
                used = following

    cdef void look_for_signals(self) noexcept with gil:
        try:
            PyErr_CheckSignals()
        except BaseException as error:
            self.stop_with(error)
