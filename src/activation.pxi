# Activations as layers of their own.
#
# design: beside dense.pxi and rnn.pxi, so that the large loops of `activate` are there once.
from _activation cimport activate, multiply_by_slope
from _core cimport Team, memcpy, ptrdiff_t, real, team_share
from calls.activation cimport Activated

cdef enum:
    LAYER_GRAIN = 64  # elements that a share is a multiple of
    LAYER_PIECE = 2048  # elements that are in L1 from the copy to the function


cdef void run_activation(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Activated *a = <const Activated *>args
    cdef const real *x = <const real *>a.x
    cdef real *y = <real *>a.y
    cdef real *slope = <real *>a.slope
    cdef ptrdiff_t low, high, n
    team_share(team, a.n, LAYER_GRAIN, &low, &high)
    while low < high:
        n = min(<ptrdiff_t>LAYER_PIECE, high - low)
        if y != x:
            memcpy(y + low, x + low, <size_t>n * sizeof(real))
        activate(a.activation, <real>a.alpha, y + low, slope + low if slope else NULL, n)
        low += n


cdef void run_activation_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Activated *a = <const Activated *>args
    cdef const real *slope = <const real *>a.slope
    cdef ptrdiff_t low, high
    team_share(team, a.n, LAYER_GRAIN, &low, &high)
    multiply_by_slope(a.activation, <real>a.alpha, <const real *>a.x + low,
                      slope + low if slope else NULL, <const real *>a.dy + low,
                      <real *>a.y + low, high - low)
