# Recording of losses.pxi.
from calls.losses cimport BINARY_CROSS_ENTROPY, HUBER, MAE, MSE, Loss

cdef enum:
    LOSS_WORK = 20  # multiply-adds that an output element is worth


cdef ptrdiff_t own_rows(const Loss *a):
    """The rows that a thread reads are its own, unless all weights are needed for their sum."""
    return 0 if a.sample_weight or a.class_weight else a.N


cdef bytes regression(Level level, int kind, z, target, sample_weight, double delta,
                      double smoothing, dz, rows, loss, status, void *formula=NULL):
    cdef Loss a = Loss(data(z), data(target), NULL, data(sample_weight), data(dz),
                       <double *>data(rows), <double *>data(loss), <long long *>data(status),
                       z.shape[0], z.shape[1], kind, formula, delta, smoothing)
    return record_real(z, level.runs.regression, &a, sizeof(a), <double>a.N * a.O * LOSS_WORK,
                       own_rows(&a))


def mse(Level level, z, target, sample_weight, dz, rows, loss, status):
    return regression(level, MSE, z, target, sample_weight, 0, 0, dz, rows, loss, status)


def mae(Level level, z, target, sample_weight, dz, rows, loss, status):
    return regression(level, MAE, z, target, sample_weight, 0, 0, dz, rows, loss, status)


def huber(Level level, z, target, sample_weight, delta, dz, rows, loss, status):
    return regression(level, HUBER, z, target, sample_weight, delta, 0, dz, rows, loss, status)


def binary_cross_entropy(Level level, z, target, sample_weight, smoothing, dz, rows, loss, status):
    return regression(level, BINARY_CROSS_ENTROPY, z, target, sample_weight, 0, smoothing, dz, rows,
                      loss, status)


def elementwise_loss(Level level, z, target, sample_weight, formula, dz, rows, loss, status):
    cdef int64_t address = formula.address(z.dtype)
    return regression(level, MSE, z, target, sample_weight, 0, 0, dz, rows, loss, status,
                      <void *>address)


cdef bytes softmax(Level level, bint soft, z, target, class_weight, sample_weight, double smoothing,
                   dz, rows, loss, status):
    cdef Loss a = Loss(data(z), data(target), data(class_weight), data(sample_weight), data(dz),
                       <double *>data(rows), <double *>data(loss), <long long *>data(status),
                       z.shape[0], z.shape[1], soft, NULL, 0, smoothing)
    return record_real(z, level.runs.softmax, &a, sizeof(a), <double>a.N * a.O * LOSS_WORK,
                       own_rows(&a))


def cross_entropy(Level level, z, target, class_weight, sample_weight, smoothing, dz, rows, loss,
                  status):
    return softmax(level, False, z, target, class_weight, sample_weight, smoothing, dz, rows, loss,
                   status)


def soft_cross_entropy(Level level, z, target, sample_weight, smoothing, dz, rows, loss, status):
    return softmax(level, True, z, target, None, sample_weight, smoothing, dz, rows, loss, status)
