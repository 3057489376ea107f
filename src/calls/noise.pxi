# Recording of noise.pxi.
from calls.noise cimport Noise

cdef enum:
    NOISE_WORK = 60  # multiply-adds that one element is worth


def gradient_noise(Level level, eta, gamma, seed, layer, count, blocks, scale, g, report):
    cdef Noise a = Noise(data(g), <const int64_t *>data(count), <const int64_t *>data(blocks),
                         <const double *>data(scale), <double *>data(report), seed, layer, g.size,
                         scale.size, eta, gamma)
    return record_real(g, level.runs.noise, &a, sizeof(a), <double>a.P * NOISE_WORK)
