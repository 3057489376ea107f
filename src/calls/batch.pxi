# Recording of batch.pxi.
from calls.batch cimport End, Gather, Schedule, Step, Weights


cdef bytes gather(Level level, source, order, cursor, out):
    cdef ptrdiff_t rows = out.shape[0]
    cdef Gather a = Gather(<const char *>data(source), <const int64_t *>data(order),
                           <const int64_t *>data(cursor), <char *>data(out), rows,
                           out.nbytes // max(rows, 1))
    return record(level.runs.gather, &a, sizeof(a), <double>a.N * a.row_bytes, rows, rows)


def gather_rows(Level level, source, order, cursor, out):
    return gather(level, source, order, cursor, out)


def gather_labels(Level level, source, order, cursor, out):
    return gather(level, source, order, cursor, out)


def sequence_weights(Level level, lengths, sample_weight, weight):
    cdef Weights a = Weights(<const int64_t *>data(lengths), data(sample_weight), data(weight),
                             weight.shape[0], weight.shape[1])
    return record_real(weight, level.runs.sequence_weights, &a, sizeof(a), <double>a.N * a.T)


def end_batch(Level level, loss, rows, lengths, total, cursor, batches):
    cdef End a = End(<const double *>data(loss), <const int64_t *>data(lengths),
                     <double *>data(total), <int64_t *>data(cursor), <int64_t *>data(batches),
                     rows, 0 if lengths is None else lengths.shape[0])
    return record(level.runs.end_batch, &a, sizeof(a), 0)


def end_step(Level level, step):
    cdef Step a = Step(<int64_t *>data(step))
    return record(level.runs.end_step, &a, sizeof(a), 0)


def schedule(Level level, table, places, first, step, values):
    cdef Schedule a = Schedule(<const double *>data(table), <const int64_t *>data(places),
                               <const int64_t *>data(first), <const int64_t *>data(step),
                               <double *>data(values), table.shape[0], table.shape[1])
    return record(level.runs.schedule, &a, sizeof(a), 0)
