# Sequences as steps: all rows of a time side by side, the longest sequences first.
#
# design:
#  a) A row moves as one piece of memory; threads share sequences, so that none writes where another
#     does, whatever the direction.
#  b) What depends on lengths (order, offsets) is data, not part of the recording.
from libc.string cimport memcpy, memset

from _core cimport Team, int64_t, ptrdiff_t, raise_flag, real, team_share
from _reduce cimport add_rows, all_finite
from calls.sequences cimport Move, Plan, Sum

cdef enum:
    SUM_COLUMNS = 16  # a thread's least share of columns: a cache line of float32


cdef void run_plan(const void *args, Team *team, void *scratch) noexcept nogil:
    """A stable counting sort, from long to short."""
    cdef const Plan *a = <const Plan *>args
    cdef ptrdiff_t i, t
    cdef int64_t longer = 0, count
    memset(a.offsets, 0, (a.T + 1) * sizeof(int64_t))
    for i in range(a.N):
        a.offsets[a.lengths[i]] += 1
    for t in range(a.T, -1, -1):  # where sequences of t steps start in the order
        count = a.offsets[t]
        a.offsets[t] = longer
        longer += count
    for i in range(a.N):
        a.order[a.offsets[a.lengths[i]]] = i
        a.offsets[a.lengths[i]] += 1
    # offsets[t] is now the number of sequences of at least t steps; step t - 1 has as many rows
    count = 0
    for t in range(1, a.T + 1):
        count += a.offsets[t]
        a.offsets[t] = count
    a.offsets[0] = 0


cdef inline ptrdiff_t length_of(const Move *a, ptrdiff_t i, ptrdiff_t most) noexcept nogil:
    """Steps of sequence i of the order, which are `most` at most."""
    while most > 0 and a.offsets[most] - a.offsets[most - 1] <= i:
        most -= 1
    return most


cdef void run_to_steps(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef const real *x
    cdef real *y = <real *>a.y
    cdef ptrdiff_t low, high, i, t, length = a.T, time
    team_share(team, a.N, 1, &low, &high)
    for i in range(low, high):
        length = length_of(a, i, length)
        x = <const real *>a.x + a.order[i] * a.T * a.G + a.start
        for t in range(length):
            time = length - 1 - t if a.reverse else t
            memcpy(y + (a.offsets[t] + i) * a.F, x + time * a.G, a.F * sizeof(real))


cdef void run_from_steps(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef const real *x = <const real *>a.x
    cdef const real *row
    cdef real *y
    cdef real *to
    cdef ptrdiff_t low, high, i, j, t, length = a.T, time
    team_share(team, a.N, 1, &low, &high)
    for i in range(low, high):
        length = length_of(a, i, length)
        y = <real *>a.y + a.order[i] * a.T * a.G + a.start
        for t in range(length):
            time = length - 1 - t if a.reverse else t
            row, to = x + (a.offsets[t] + i) * a.F, y + time * a.G
            if a.add:
                for j in range(a.F):
                    to[j] += row[j]
            else:
                memcpy(to, row, a.F * sizeof(real))
        if not a.add:
            for t in range(length, a.T):
                memset(y + t * a.G, 0, a.F * sizeof(real))


cdef void run_indices(const void *args, Team *team, void *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef const int64_t *x
    cdef int64_t *y = <int64_t *>a.y
    cdef ptrdiff_t i, t, length = a.T
    for i in range(a.N):
        length = length_of(a, i, length)
        x = <const int64_t *>a.x + a.order[i] * a.T
        for t in range(length):
            y[a.offsets[t] + i] = x[length - 1 - t if a.reverse else t]
    for i in range(a.offsets[a.T], a.R):
        y[i] = -1


cdef void run_last(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef const real *x = <const real *>a.x
    cdef ptrdiff_t low, high, i, length = a.T, row
    team_share(team, a.N, 1, &low, &high)
    for i in range(low, high):
        length = length_of(a, i, length)
        row = a.N + a.offsets[length - 1] + i if length else i
        memcpy(<real *>a.y + a.order[i] * a.G + a.start, x + row * a.F, a.F * sizeof(real))


cdef void run_take(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef const real *x
    cdef real *y
    cdef ptrdiff_t low, high, i, j
    team_share(team, a.N, 1, &low, &high)
    for i in range(low, high):
        x, y = <const real *>a.x + a.order[i] * a.G + a.start, <real *>a.y + i * a.F
        if a.add:
            for j in range(a.F):
                y[j] += x[j]
        else:
            memcpy(y, x, a.F * sizeof(real))


cdef void run_put(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef ptrdiff_t low, high, i
    team_share(team, a.N, 1, &low, &high)
    for i in range(low, high):
        memcpy(<real *>a.y + a.order[i] * a.F, <const real *>a.x + i * a.F, a.F * sizeof(real))


cdef void run_fill(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Move *a = <const Move *>args
    cdef real *y = <real *>a.y
    cdef ptrdiff_t i
    for i in range(a.N):
        if a.x:
            memcpy(y + i * a.F, a.x, a.F * sizeof(real))
        else:
            memset(y + i * a.F, 0, a.F * sizeof(real))


cdef void run_sum(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Sum *a = <const Sum *>args
    cdef real *sums = <real *>a.sums
    cdef ptrdiff_t low, high
    team_share(team, a.F, SUM_COLUMNS, &low, &high)
    memset(sums + low, 0, (high - low) * sizeof(real))
    add_rows(<const real *>a.x + low, a.N, a.F, high - low, sums + low)
    if a.status and not all_finite(sums + low, high - low):
        raise_flag(a.status)
