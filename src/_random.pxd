# Random bits without a state: a hash of a key and an element's place.
#
# design:
#  a) Seed, count and layer become a key of 64 bits, once per call (splitmix64: Steele, Lea & Flood,
#     "Fast splittable pseudorandom number generators", OOPSLA 2014).
#  b) One half of it is put in before each of two rounds of lowbias32 (C. Wellons, "Prospecting for
#     hash functions", 2018), which is made of shifts and products that all levels have for whole
#     vectors.
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef inline uint64_t splitmix(uint64_t z) noexcept nogil:
    z += 0x9e3779b97f4a7c15ULL
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL
    return z ^ (z >> 31)


cdef inline uint64_t random_key(int64_t seed, int64_t count, int64_t layer) noexcept nogil:
    return splitmix(splitmix(splitmix(<uint64_t>seed) + <uint64_t>count) + <uint64_t>layer)


cdef inline uint32_t lowbias(uint32_t h) noexcept nogil:
    h = (h ^ (h >> 16)) * 0x7feb352dU
    h = (h ^ (h >> 15)) * 0x846ca68bU
    return h ^ (h >> 16)


cdef inline uint32_t random_bits(uint32_t place, uint32_t first, uint32_t second) noexcept nogil:
    """`first`: the lower half of the key; `second`: the upper one ^ the upper half of the place."""
    return lowbias(lowbias(place ^ first) ^ second)
