# Recording of probe.pxi.
from calls.probe cimport Delta, Flow, Noted, Output, Seen, Updated


def see_gradient(Level level, g, blocks, seen):
    cdef Seen a = Seen(data(g), NULL, <const int64_t *>data(blocks), <double *>data(seen),
                       blocks.size - 1)
    return record_real(g, level.runs.see_gradient, &a, sizeof(a), <double>g.size)


def see_update(Level level, p, before, blocks, moved):
    cdef Seen a = Seen(data(p), data(before), <const int64_t *>data(blocks), <double *>data(moved),
                       blocks.size - 1)
    return record_real(p, level.runs.see_update, &a, sizeof(a), <double>p.size)


def note_update(Level level, seen, moved, groups, spare, loss, rate, step, tensors, losses):
    cdef Updated a = Updated(<const double *>data(seen), <const double *>data(moved),
                             <const int64_t *>data(groups), <const int64_t *>data(spare),
                             <const double *>data(loss), <const double *>data(rate),
                             <const int64_t *>data(step), <double *>data(tensors),
                             <double *>data(losses), tensors.shape[1], tensors.shape[0])
    return record(level.runs.note_update, &a, sizeof(a), 0)


def see_output(Level level, y, slope, low, high, alive, parts):
    cdef Output a = Output(data(y), data(slope), data(alive), <double *>data(parts), low, high,
                           y.shape[0], y.shape[1])
    return record_real(y, level.runs.see_output, &a, sizeof(a), <double>y.size, a.N, a.N)


def see_delta(Level level, dy, sums):
    cdef Delta a = Delta(data(dy), <double *>data(sums), dy.shape[0], dy.shape[1])
    return record_real(dy, level.runs.see_delta, &a, sizeof(a), <double>dy.size, a.N, a.N)


def note_outputs(Level level, parts, sums, rows, units, elements, places, step, alive, lived, ring):
    cdef Noted a = Noted(<const double *>data(parts), <const double *>data(sums),
                         <const int64_t *>data(rows), <const int64_t *>data(units),
                         <const double *>data(elements), <const int64_t *>data(places),
                         <const int64_t *>data(step), data(alive), data(lived),
                         <double *>data(ring), places.size, ring.shape[0], ring.shape[1])
    # so little work, since it is for one thread alone
    return record_real(alive, level.runs.note_outputs, &a, sizeof(a), 0)


def note_flow(Level level, flow, step, ring, stamps):
    cdef Flow a = Flow(<const double *>data(flow), <const int64_t *>data(step),
                       <double *>data(ring), <int64_t *>data(stamps), flow.size, ring.shape[0])
    return record(level.runs.note_flow, &a, sizeof(a), 0)
