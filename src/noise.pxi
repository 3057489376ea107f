# Gradient noise, g += N(0, eta / (1 + t)^gamma): Neelakantan et al. 2015.
#
# design:
#  a) Each element's normal number comes from 64 bits of its own, hashed as in dropout from seed,
#     count, layer and place: nothing is stored, and threads need not agree on anything.
#  b) Box & Muller 1958, of which one number is used: sqrt(-2 log u) sin(pi h), with u in (0, 1] and
#     |h| <= 1/2. This is straight-line code, so that loops over it vectorize at all levels,
#     and each number depends on its own element alone.
#  c) u has 31 bits, for signed integers become reals in one instruction everywhere: no number is
#     beyond sqrt(64 log 2) = 6.66, which a normal one is once in 3.6e10 draws.
from libc.math cimport NAN, pow, sqrt
from libc.stdint cimport int32_t, uint32_t, uint64_t

from _core cimport Team, int64_t, ptrdiff_t, real, team_share
from _math cimport log, sinpi, square_root
from _random cimport random_bits, random_key
from calls.noise cimport Noise


cdef inline real normal(uint32_t bits, uint32_t more, const real *tag) noexcept nogil:
    cdef real half = <real>0.5, two = 2
    cdef real u = (<real><int32_t>(bits >> 1) + half) * <real>(0.5**31)
    cdef real h = (<real><int32_t>more + half) * <real>(0.5**32)
    return square_root(-two * log(u)) * sinpi(h)


cdef void add_noise(real *g, ptrdiff_t low, ptrdiff_t high, real deviation,
                    uint64_t key) noexcept nogil:
    """Element i has the bits of the places 2 i and 2 i + 1."""
    cdef uint32_t first = <uint32_t>key, second
    cdef ptrdiff_t i, stop
    while low < high:
        stop = min(high, ((low >> 31) + 1) << 31)
        second = <uint32_t>(key >> 32) ^ <uint32_t>(low >> 31)
        for i in range(low, stop):
            g[i] += deviation * normal(random_bits(2 * <uint32_t>i, first, second),
                                       random_bits(2 * <uint32_t>i + 1, first, second), g)
        low = stop


cdef void run_noise(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Noise *a = <const Noise *>args
    cdef ptrdiff_t block, low, high
    cdef double deviation = sqrt(a.eta * pow(1.0 + a.count[0], -a.gamma))
    cdef uint64_t key = random_key(a.seed, a.count[0], a.layer)
    team_share(team, a.B, 1, &low, &high)
    for block in range(low, high):
        if a.scale[block] != 0:
            add_noise(<real *>a.g, a.blocks[block], a.blocks[block + 1],
                      <real>(deviation * a.scale[block]), key)
    if team.rank == 0:
        a.report[0] += 1
        a.report[1] += deviation > 0
        a.report[2] = NAN
        a.report[3] = 1
        a.report[4] = a.report[0]
        a.report[5] = 1
