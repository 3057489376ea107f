# Dropout, y = x / (1 - p) where an element is kept, else 0: both passes, which draw the same mask.
#
# design:
#  a) Nothing is stored and no generator has a state: 32 bits are hashed from the seed, the count,
#     the layer and the element's place, so any thread finds the bits of any element by itself, and
#     so does the backward pass. An element is kept where they are at least p 2^32.
#  b) The upper half of the place is the same for 2^32 elements and stays out of the inner loop.
from libc.stdint cimport uint32_t, uint64_t

from _core cimport Team, int64_t, ptrdiff_t, real, team_rows
from _random cimport random_bits, random_key
from calls.dropout cimport Drop


cdef void run_dropout(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Drop *a = <const Drop *>args
    cdef const real *x = <const real *>a.x
    cdef real *y = <real *>a.y
    cdef real scale = <real>(1 / (1 - a.p)), grown
    cdef uint64_t key = random_key(a.seed, a.count[0], a.layer)
    cdef uint32_t first = <uint32_t>key, second, bits, threshold = a.threshold
    cdef ptrdiff_t low, high, stop, i
    team_rows(team, a.N, &low, &high)
    low, high = low * a.F, high * a.F
    while low < high:
        stop = min(high, ((low >> 32) + 1) << 32)
        second = <uint32_t>(key >> 32) ^ <uint32_t>(low >> 32)
        for i in range(low, stop):
            bits = random_bits(<uint32_t>i, first, second)
            grown = scale * x[i]  # outside the condition: else older levels cannot load a vector
            y[i] = grown if bits >= threshold else 0
        low = stop
