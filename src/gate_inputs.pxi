# What the inputs of a recurrent layer add to its gates, for all steps at once, and its biases.
from calls.gate_inputs cimport GateBias, GateInputs, GateTable

cdef enum:
    FEW_INPUTS = 8
    PIECE = 256  # columns of the turned gradient

cdef void run_inputs_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const GateInputs *a = <const GateInputs *>args
    cdef ptrdiff_t I = a.inputs, O = a.outputs, H = a.turned, G = a.wide, low, high, r
    cdef ptrdiff_t rows = a.offsets[a.T]
    cdef const real *w = <const real *>a.w
    cdef const real *bias = <const real *>a.bias
    cdef const real *x
    cdef real *z
    team_share(team, rows, ROWS, &low, &high)
    if low == high:
        return
    x, z = <const real *>a.x + low * I, <real *>a.z + low * G
    multiply(high - low, O - H, I, x, I, 1, w, 1, I, z + H, G, bias + H, False, a.rows, NULL,
             scratch)
    if H:
        multiply(high - low, H, I, x, I, 1, w + 2 * H * I, 1, I, z, G, bias, False, a.rows, NULL,
                 scratch)
        for r in range(high - low):
            memcpy(z + r * G + O, bias + O, H * sizeof(real))


cdef void run_inputs_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const GateInputs *a = <const GateInputs *>args
    cdef ptrdiff_t I = a.inputs, O = a.outputs, H = a.turned, G = a.wide, low, high
    cdef ptrdiff_t rows = a.offsets[a.T]
    cdef const real *w = <const real *>a.w
    cdef const real *dz = <const real *>a.z
    cdef real *dx
    gates_to_weight(a, team, H, O - H, 0, rows, scratch)
    if H:
        gates_to_weight(a, team, 0, H, 2 * H, rows, scratch)
    if a.dx:
        team_share(team, rows, ROWS, &low, &high)
        if low < high:
            dx, dz = <real *>a.dx + low * I, dz + low * G
            multiply(high - low, I, O - H, dz + H, G, 1, w, I, 1, dx, I, NULL, False, a.rows,
                     NULL, scratch)
            if H:
                multiply(high - low, I, H, dz, G, 1, w + 2 * H * I, I, 1, dx, I, NULL, True,
                         a.rows, NULL, scratch)


cdef void gates_to_few(const GateInputs *a, Team *team, ptrdiff_t column, ptrdiff_t count,
                       real *dw, ptrdiff_t rows, real *scratch) noexcept nogil:
    """The same for a few inputs, which would fill but a part of a vector: turned, in pieces."""
    cdef real piece[FEW_INPUTS * PIECE]
    cdef ptrdiff_t I = a.inputs, at, high, n, i, j
    cdef int not_finite = 0
    team_share(team, count, COLUMNS, &at, &high)
    while at < high:
        n = min(<ptrdiff_t>PIECE, high - at)
        multiply(I, n, rows, <const real *>a.x, 1, I, <const real *>a.z + column + at, a.wide, 1,
                 piece, n, NULL, False, I, &not_finite, scratch)
        for j in range(n):
            for i in range(I):
                dw[(at + j) * I + i] = piece[i * n + j]
        at += n
    if a.status and not_finite:
        raise_flag(a.status)


cdef void gates_to_weight(const GateInputs *a, Team *team, ptrdiff_t column, ptrdiff_t count,
                          ptrdiff_t row, ptrdiff_t rows, real *scratch) noexcept nogil:
    """`count` rows of dw, from `row` on, out of as many columns of dz, from `column` on."""
    cdef real *dw = <real *>a.dw + row * a.inputs
    cdef ptrdiff_t I = a.inputs, r0, r1, c0, c1
    cdef int not_finite = 0
    if I <= FEW_INPUTS:
        gates_to_few(a, team, column, count, dw, rows, scratch)
        return
    share_output(team, count, I, &r0, &r1, &c0, &c1)
    if r0 < r1 and c0 < c1:
        multiply(r1 - r0, c1 - c0, rows, <const real *>a.z + column + r0, 1, a.wide,
                 <const real *>a.x + c0, I, 1, dw + r0 * I + c0, I, NULL, False, count,
                 &not_finite, scratch)
    if a.status and not_finite:
        raise_flag(a.status)


cdef void run_bias(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const GateBias *a = <const GateBias *>args
    cdef const real *b_ih = <const real *>a.b_ih
    cdef const real *b_hh = <const real *>a.b_hh
    cdef real *bias = <real *>a.bias
    cdef ptrdiff_t i, O = a.outputs, H = a.turned
    for i in range(O - H):
        bias[H + i] = b_ih[i] + b_hh[i]
    for i in range(H):
        bias[i] = b_ih[O - H + i] if a.apart else b_ih[O - H + i] + b_hh[O - H + i]
        bias[O + i] = b_hh[O - H + i] if a.apart else <real>0


cdef void run_bias_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const GateBias *a = <const GateBias *>args
    cdef const real *dz = <const real *>a.bias
    cdef real *d_ih = <real *>a.b_ih
    cdef real *d_hh = <real *>a.b_hh
    cdef ptrdiff_t G = a.wide, O = a.outputs, H = a.turned, rows = a.offsets[a.T]
    cdef ptrdiff_t low, high, r = 0, i, to, some
    cdef bint good
    team_share(team, G, COLUMNS, &low, &high)
    if low == high:
        return
    memset(scratch, 0, (high - low) * sizeof(real))
    some = 1 + GROUP // (high - low)
    while r < rows:
        add_rows(dz + r * G + low, min(some, rows - r), G, high - low, scratch)
        r += some
    good = all_finite(scratch, min(high, G if a.apart else O) - low)
    for i in range(low, high):
        to = i if H == 0 else O - H + i if i < H else i - H
        if i < O:
            d_ih[to] = scratch[i - low]
        if i < O and (not a.apart or i >= H):
            d_hh[to] = scratch[i - low]
        if i >= O and a.apart:
            d_hh[i - H] = scratch[i - low]
    if a.status and not good:
        raise_flag(a.status)


cdef inline ptrdiff_t turned_back(const GateTable *a, ptrdiff_t column) noexcept nogil:
    """The row of w of a column of gates."""
    cdef ptrdiff_t row = column - a.turned
    return row if row >= 0 else row + a.outputs


cdef void run_table(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const GateTable *a = <const GateTable *>args
    cdef const real *w = <const real *>a.w
    cdef const real *bias = <const real *>a.bias
    cdef const real *row
    cdef real *table = <real *>a.table
    cdef ptrdiff_t low, high, i, v, G = a.wide
    team_share(team, G, COLUMNS, &low, &high)
    for i in range(low, high):
        if i < a.outputs:
            row = w + turned_back(a, i) * a.count
            for v in range(a.count):
                table[v * G + i] = row[v] + bias[i]
        else:
            for v in range(a.count):
                table[v * G + i] = bias[i]


cdef void run_table_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const GateTable *a = <const GateTable *>args
    cdef const real *table = <const real *>a.table
    cdef real *dw = <real *>a.w
    cdef real *row
    cdef ptrdiff_t low, high, i, v, G = a.wide
    team_share(team, a.outputs, COLUMNS, &low, &high)
    for i in range(low, high):
        row = dw + turned_back(a, i) * a.count
        for v in range(a.count):
            row[v] = table[v * G + i]
        if a.status and not all_finite(row, a.count):
            raise_flag(a.status)
