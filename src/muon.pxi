# Muon: momentum whose singular values are all brought near 1, a matrix at a time.
#
# design:
#  a) x, the matrix or its transpose, is never higher than wide, so that its Gram matrix is the
#     smaller one. Each round is x = a x + (b G + c G G) x with G = x x', three products.
#  b) Threads share rows in whole tiles; two meetings a round, for all of G and all of x.
#  c) PyTorch iterates in bfloat16, this in the dtype of the parameters.
from libc.math cimport fmax, sqrt

from _core cimport Team, ptrdiff_t, real, team_share, team_wait
from _product cimport multiply
from _reduce cimport sum_of_squares
from calls.muon cimport Matrix


cdef void momentum(const Matrix *a, Team *team, real *u) noexcept nogil:
    """The running mean of the gradient; what is to be made orthogonal goes to u."""
    cdef const real *g
    cdef real *mean
    cdef real keep = <real>a.hyper[7], add = <real>(1 - a.hyper[7]), m
    cdef real of_mean = keep if a.hyper[8] != 0 else 1, of_gradient = 1 - of_mean
    cdef ptrdiff_t i, j, low, high, columns = a.columns
    team_share(team, a.rows, ROWS, &low, &high)
    for i in range(low, high):
        g, mean = <const real *>a.g + i * columns, <real *>a.mean + i * columns
        for j in range(columns):
            m = keep * mean[j] + add * g[j]
            mean[j] = m
            u[i * columns + j] = of_gradient * g[j] + of_mean * m
        a.squares[i] = sum_of_squares(u + i * columns, columns)


cdef void normalize(const Matrix *a, Team *team, const real *u, real *x) noexcept nogil:
    """x = u / |u|, or its transpose where u has more rows than columns."""
    cdef double square = 0
    cdef real scale
    cdef ptrdiff_t i, j, low, high, m = min(a.rows, a.columns), n = max(a.rows, a.columns)
    for i in range(a.rows):
        square += a.squares[i]
    scale = <real>(1 / fmax(sqrt(square), a.hyper[10]))
    team_share(team, m, ROWS, &low, &high)
    for i in range(low, high):
        for j in range(n):
            x[i * n + j] = scale * (u[i * n + j] if a.rows <= a.columns else u[j * m + i])


cdef void multiply_rows(const Matrix *a, Team *team, const real *x, real *y,
                        real *scratch) noexcept nogil:
    """y = a x + (b G + c G G) x for this thread's rows of y, all of G being there."""
    cdef real *gram = <real *>a.gram
    cdef real *polynomial = <real *>a.polynomial
    cdef real of_x = <real>a.hyper[11], of_gram = <real>a.hyper[12], of_square = <real>a.hyper[13]
    cdef ptrdiff_t i, low, high, rows, m = min(a.rows, a.columns), n = max(a.rows, a.columns)
    team_share(team, m, ROWS, &low, &high)
    rows = high - low
    if rows == 0:
        return
    polynomial += low * m
    y += low * n
    for i in range(rows * m):
        polynomial[i] = of_gram * gram[low * m + i]
        y[i] = of_square * gram[low * m + i]  # for which these rows of y have room
    multiply(rows, m, m, y, m, 1, gram, m, 1, polynomial, m, <real *>NULL, True, m, NULL, scratch)
    for i in range(rows * n):
        y[i] = of_x * x[low * n + i]
    multiply(rows, n, m, polynomial, m, 1, x, n, 1, y, n, <real *>NULL, True, m, NULL, scratch)


cdef void move(const Matrix *a, Team *team, const real *x) noexcept nogil:
    """p = (1 - lr weight_decay) p - lr ratio x."""
    cdef double ratio = sqrt(fmax(1, <double>a.rows / a.columns))
    cdef real *p
    cdef real rate, shrink = <real>(1 - a.hyper[0] * a.hyper[9])
    cdef ptrdiff_t i, j, low, high, rows = a.rows, columns = a.columns
    if a.hyper[15] != 0:
        ratio = 0.2 * sqrt(fmax(<double>rows, <double>columns))
    rate = <real>(a.hyper[0] * ratio)
    team_share(team, rows, ROWS, &low, &high)
    for i in range(low, high):
        p = <real *>a.p + i * columns
        for j in range(columns):
            p[j] = shrink * p[j] - rate * (x[i * columns + j] if rows <= columns
                                           else x[j * rows + i])


cdef void run_muon(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const Matrix *a = <const Matrix *>args
    cdef real *x = <real *>a.x
    cdef real *y = <real *>a.y
    cdef ptrdiff_t low, high, m = min(a.rows, a.columns), n = max(a.rows, a.columns)
    cdef int _
    momentum(a, team, y)
    team_wait(team)
    normalize(a, team, y, x)
    team_wait(team)
    team_share(team, m, ROWS, &low, &high)
    for _ in range(<int>a.hyper[14]):
        if low < high:
            multiply(high - low, m, n, x + low * n, n, 1, x, 1, n, <real *>a.gram + low * m, m,
                     <real *>NULL, False, m, NULL, scratch)
        team_wait(team)
        multiply_rows(a, team, x, y, scratch)
        team_wait(team)
        x, y = y, x
    move(a, team, x)
