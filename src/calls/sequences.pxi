# Recording of sequences.pxi.
from calls.sequences cimport Move, Plan, Sum


def sequence_plan(Level level, lengths, order, offsets):
    cdef Plan a = Plan(<const int64_t *>data(lengths), <int64_t *>data(order),
                       <int64_t *>data(offsets), lengths.shape[0], offsets.shape[0] - 1)
    return record(level.runs.plan, &a, sizeof(a), 0)


def to_steps(Level level, x, start, order, offsets, reverse, y):
    cdef Move a = Move(data(x), data(y), <const int64_t *>data(order),
                       <const int64_t *>data(offsets), x.shape[0], x.shape[1], y.shape[0],
                       y.shape[1], x.shape[2], start, reverse, False)
    return record_real(x, level.runs.to_steps, &a, sizeof(a), <double>a.N * a.T * a.F)


def from_steps(Level level, x, start, order, offsets, reverse, add, y):
    cdef Move a = Move(data(x), data(y), <const int64_t *>data(order),
                       <const int64_t *>data(offsets), y.shape[0], y.shape[1], x.shape[0],
                       x.shape[1], y.shape[2], start, reverse, add)
    return record_real(x, level.runs.from_steps, &a, sizeof(a), <double>a.N * a.T * a.F)


def indices_to_steps(Level level, x, order, offsets, reverse, y):
    cdef Move a = Move(data(x), data(y), <const int64_t *>data(order),
                       <const int64_t *>data(offsets), x.shape[0], x.shape[1], y.shape[0], 1, 1, 0,
                       reverse, False)
    return record(level.runs.indices, &a, sizeof(a), 0)


def last_steps(Level level, x, start, order, offsets, y):
    cdef Move a = Move(data(x), data(y), <const int64_t *>data(order),
                       <const int64_t *>data(offsets), y.shape[0], offsets.shape[0] - 1,
                       x.shape[0], x.shape[1], y.shape[1], start, False, False)
    return record_real(x, level.runs.last, &a, sizeof(a), <double>a.N * a.F)


def take_rows(Level level, x, start, order, add, y):
    cdef Move a = Move(data(x), data(y), <const int64_t *>data(order), NULL, y.shape[0], 0, 0,
                       y.shape[1], x.shape[1], start, False, add)
    return record_real(x, level.runs.take, &a, sizeof(a), <double>a.N * a.F)


def put_rows(Level level, x, order, y):
    cdef Move a = Move(data(x), data(y), <const int64_t *>data(order), NULL, y.shape[0], 0, 0,
                       y.shape[1], y.shape[1], 0, False, False)
    return record_real(x, level.runs.put, &a, sizeof(a), <double>a.N * a.F)


def fill_rows(Level level, row, y):
    cdef Move a = Move(data(row), data(y), NULL, NULL, y.shape[0], 0, 0, y.shape[1], 0, 0, False,
                       False)
    return record_real(y, level.runs.fill, &a, sizeof(a), 0)


def sum_rows(Level level, x, sums, status):
    cdef Sum a = Sum(data(x), data(sums), <long long *>data(status), x.shape[0], x.shape[1])
    return record_real(x, level.runs.sum, &a, sizeof(a), <double>a.N * a.F)
