# Recording of gate_inputs.pxi.
from calls.gate_inputs cimport GateBias, GateInputs, GateTable


def gate_inputs_forward(Level level, x, w, bias, offsets, turned, z):
    cdef GateInputs a = GateInputs(data(x), data(w), data(bias), data(z), NULL, NULL,
                                   <const int64_t *>data(offsets), NULL, offsets.shape[0] - 1,
                                   x.shape[0], x.shape[1], w.shape[0], z.shape[1], turned)
    return record_real(x, level.runs.inputs_forward, &a, sizeof(a),
                       <double>a.rows * a.inputs * a.outputs)


def gate_inputs_backward(Level level, x, w, dz, offsets, turned, dx, dw, status):
    cdef GateInputs a = GateInputs(data(x), data(w), NULL, data(dz), data(dx), data(dw),
                                   <const int64_t *>data(offsets), <long long *>data(status),
                                   offsets.shape[0] - 1, x.shape[0], x.shape[1], w.shape[0],
                                   dz.shape[1], turned)
    return record_real(x, level.runs.inputs_backward, &a, sizeof(a),
                       <double>a.rows * a.inputs * a.outputs)


def gate_bias(Level level, b_ih, b_hh, turned, apart, bias):
    cdef GateBias a = GateBias(data(b_ih), data(b_hh), data(bias), NULL, NULL, 0, b_ih.shape[0],
                               bias.shape[0], turned, apart)
    return record_real(bias, level.runs.bias, &a, sizeof(a), 0)


def gate_bias_backward(Level level, dz, offsets, turned, apart, db_ih, db_hh, status):
    cdef GateBias a = GateBias(data(db_ih), data(db_hh), data(dz), <const int64_t *>data(offsets),
                               <long long *>data(status), offsets.shape[0] - 1, db_ih.shape[0],
                               dz.shape[1], turned, apart and turned)
    return record_real(dz, level.runs.bias_backward, &a, sizeof(a), <double>dz.shape[0] * a.wide)


def gate_table(Level level, w, bias, turned, table):
    cdef GateTable a = GateTable(data(w), data(bias), data(table), NULL, w.shape[1], w.shape[0],
                                 table.shape[1], turned)
    return record_real(w, level.runs.table, &a, sizeof(a), <double>a.count * a.wide)


def gate_table_backward(Level level, dtable, turned, dw, status):
    cdef GateTable a = GateTable(data(dw), NULL, data(dtable), <long long *>data(status),
                                 dw.shape[1], dw.shape[0], dtable.shape[1], turned)
    return record_real(dw, level.runs.table_backward, &a, sizeof(a), <double>a.count * a.wide)
