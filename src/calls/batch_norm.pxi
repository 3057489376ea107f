# Recording of batch_norm.pxi.
from calls.batch_norm cimport BatchNorm, Predict, Running

cdef enum:
    NORM_WORK = 8  # multiply-adds that an element is worth


def batch_norm_forward(Level level, x, weight, bias, eps, y, mean, var):
    cdef BatchNorm a = BatchNorm(data(x), data(weight), data(bias), <double *>data(mean),
                                 <double *>data(var), data(y), NULL, NULL, NULL, NULL, x.shape[0],
                                 x.shape[1], eps)
    return record_real(x, level.runs.bn_forward, &a, sizeof(a), <double>a.N * a.F * NORM_WORK)


def batch_norm_backward(Level level, x, weight, mean, var, dy, eps, dx, dweight, dbias, status):
    cdef BatchNorm a = BatchNorm(data(x), data(weight), NULL, <double *>data(mean),
                                 <double *>data(var), data(dx), data(dy), data(dweight),
                                 data(dbias), <long long *>data(status), x.shape[0], x.shape[1],
                                 eps)
    return record_real(x, level.runs.bn_backward, &a, sizeof(a), <double>a.N * a.F * NORM_WORK)


def batch_norm_update(Level level, mean, var, rows, momentum, running_mean, running_var):
    cdef Running a = Running(<double *>data(mean), <double *>data(var), data(running_mean),
                             data(running_var), mean.size, momentum, rows / (rows - 1))
    return record_real(running_mean, level.runs.bn_update, &a, sizeof(a), 0)


def batch_norm_predict(Level level, x, weight, bias, running_mean, running_var, eps, y):
    cdef Predict a = Predict(data(x), data(weight), data(bias), data(running_mean),
                             data(running_var), data(y), x.shape[0], x.shape[1], eps)
    return record_real(x, level.runs.bn_predict, &a, sizeof(a), <double>a.N * a.F, a.N, a.N)
