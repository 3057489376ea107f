# fg_math.h for both dtypes under one name each; loops over them vectorize.
from libc.math cimport fabs, fabsf, sqrt, sqrtf

from _core cimport real

cdef extern from "fg_math.h" nogil:
    float fg_exp_f32(float)
    double fg_exp_f64(double)
    float fg_expm1_f32(float)
    double fg_expm1_f64(double)
    float fg_tanh_f32(float)
    double fg_tanh_f64(double)
    float fg_sigmoid_f32(float)
    double fg_sigmoid_f64(double)
    float fg_erf_f32(float)
    double fg_erf_f64(double)
    float fg_log1p_f32(float)
    double fg_log1p_f64(double)
    float fg_log_f32(float)
    double fg_log_f64(double)
    float fg_sinpi_f32(float)
    double fg_sinpi_f64(double)


cdef inline real exp(real x) noexcept nogil:
    if real is float:
        return fg_exp_f32(x)
    else:
        return fg_exp_f64(x)


cdef inline real expm1(real x) noexcept nogil:
    if real is float:
        return fg_expm1_f32(x)
    else:
        return fg_expm1_f64(x)


cdef inline real tanh(real x) noexcept nogil:
    if real is float:
        return fg_tanh_f32(x)
    else:
        return fg_tanh_f64(x)


cdef inline real sigmoid(real x) noexcept nogil:
    if real is float:
        return fg_sigmoid_f32(x)
    else:
        return fg_sigmoid_f64(x)


cdef inline real erf(real x) noexcept nogil:
    if real is float:
        return fg_erf_f32(x)
    else:
        return fg_erf_f64(x)


cdef inline real log1p(real x) noexcept nogil:
    if real is float:
        return fg_log1p_f32(x)
    else:
        return fg_log1p_f64(x)


cdef inline real log(real x) noexcept nogil:
    if real is float:
        return fg_log_f32(x)
    else:
        return fg_log_f64(x)


cdef inline real sinpi(real x) noexcept nogil:
    if real is float:
        return fg_sinpi_f32(x)
    else:
        return fg_sinpi_f64(x)


cdef inline real absolute(real x) noexcept nogil:
    if real is float:
        return fabsf(x)
    else:
        return fabs(x)


cdef inline real square_root(real x) noexcept nogil:
    if real is float:
        return sqrtf(x)
    else:
        return sqrt(x)
