# A dense layer, y = f(x w' + b), forward and backward, with bias and activation fused.
#
# design:
#  a) The bias starts the accumulators of the product; the activation runs over a thread's own part
#     of y while that is still in its cache.
#  b) Threads share the rows of the batch where it is tall: then a thread's activations stay in its
#     own cache from layer to layer. Where the weights are larger they share columns of the output,
#     if there are enough for all, so that each packs only its own weights.
from _activation cimport activate, multiply_by_slope
from _core cimport (
    Team, int64_t, memset, ptrdiff_t, raise_flag, real, team_rows, team_share, team_wait,
)
from _product cimport multiply
from _reduce cimport add_rows, all_finite
from calls.dense cimport DenseBackward, DenseForward

cdef enum:
    COLUMNS = 32  # a share of columns is a whole number of panels, at every level
    ROWS = 12  # and a share of rows, of register tiles; also in muon.pxi
    GROUP = 4096  # elements of dz whose bias sums follow while they are in L1


cdef void share_output(Team *team, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t *r0,
                       ptrdiff_t *r1, ptrdiff_t *c0, ptrdiff_t *c1) noexcept nogil:
    """This thread's block [r0, r1) x [c0, c1) of an output matrix."""
    if columns >= 2 * COLUMNS * team.used or rows < columns:
        r0[0], r1[0] = 0, rows
        team_share(team, columns, COLUMNS, c0, c1)
    else:
        team_share(team, rows, ROWS, r0, r1)
        c0[0], c1[0] = 0, columns


cdef void run_dense_forward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const DenseForward *a = <const DenseForward *>args
    cdef const real *x = <const real *>a.x
    cdef const real *w = <const real *>a.w
    cdef const real *b = <const real *>a.b
    cdef real *y = <real *>a.y
    cdef real *slope = <real *>a.slope
    cdef ptrdiff_t I = a.fan_in, O = a.fan_out, r0, r1, c0, c1, r
    if a.by_rows:
        team_rows(team, a.rows, &r0, &r1)
        c0, c1 = 0, O
    else:
        share_output(team, a.rows, O, &r0, &r1, &c0, &c1)
    if r0 == r1 or c0 == c1:
        return
    multiply(r1 - r0, c1 - c0, I, x + r0 * I, I, 1, w + c0 * I, 1, I,
             y + r0 * O + c0, O, b + c0 if b else NULL, False, a.rows,
             NULL, scratch)
    if c1 - c0 == O:
        activate(a.activation, <real>a.alpha, y + r0 * O, slope + r0 * O if slope else NULL,
                 (r1 - r0) * O)
    else:
        for r in range(r0, r1):
            activate(a.activation, <real>a.alpha, y + r * O + c0,
                     slope + r * O + c0 if slope else NULL, c1 - c0)


cdef void times_slope(int64_t kind, real alpha, const real *y, const real *slope, real *dz,
                      ptrdiff_t n) noexcept nogil:
    """multiply_by_slope in place, one copy of it for all callers."""
    multiply_by_slope(kind, alpha, y, slope, dz, dz, n)


cdef void run_dense_backward(const void *args, Team *team, real *scratch) noexcept nogil:
    cdef const DenseBackward *a = <const DenseBackward *>args
    cdef const real *x = <const real *>a.x
    cdef const real *w = <const real *>a.w
    cdef const real *y = <const real *>a.y
    cdef const real *slope = <const real *>a.slope
    cdef real *dz = <real *>a.dy
    cdef real *dx = <real *>a.dx
    cdef real *dw = <real *>a.dw
    cdef real *db = <real *>a.db
    cdef int not_finite = 0
    cdef bint done = False
    cdef ptrdiff_t N = a.rows, I = a.fan_in, O = a.fan_out, r, r0, r1, c0, c1, row
    cdef ptrdiff_t some

    # dz = dy f'(z) in place, and its column sums. Threads share columns, so that no sum is split;
    # where dy lies by rows in their caches, only for the sums.
    if a.by_rows and team.used > 1:
        team_rows(team, N, &r0, &r1)
        times_slope(a.activation, <real>a.alpha, y + r0 * O,
                    slope + r0 * O if slope else NULL, dz + r0 * O, (r1 - r0) * O)
        done = True
        team_wait(team)
    team_share(team, O, COLUMNS, &c0, &c1)
    if db and c0 < c1:
        memset(db + c0, 0, <size_t>(c1 - c0) * sizeof(real))
    some = 1 + GROUP // (O + 1)  # rows that stay in L1 between the two loops
    r = 0
    while r < N and c0 < c1:
        r1 = min(N, r + some)
        if done:
            pass
        elif c1 - c0 == O:
            times_slope(a.activation, <real>a.alpha, y + r * O,
                        slope + r * O if slope else NULL, dz + r * O, (r1 - r) * O)
        else:
            for row in range(r, r1):
                times_slope(a.activation, <real>a.alpha, y + row * O + c0,
                            slope + row * O + c0 if slope else NULL, dz + row * O + c0, c1 - c0)
        if db:
            add_rows(dz + r * O + c0, r1 - r, O, c1 - c0, db + c0)
        r = r1
    if db and a.status and not all_finite(db + c0, c1 - c0):
        raise_flag(a.status)
    if not done:
        team_wait(team)

    # dw[O,I] = dz' x
    share_output(team, O, I, &r0, &r1, &c0, &c1)
    if r0 < r1 and c0 < c1:
        multiply(r1 - r0, c1 - c0, N, dz + r0, 1, O, x + c0, I, 1, dw + r0 * I + c0, I,
                 NULL, False, O, &not_finite, scratch)
        if a.status and not_finite:
            raise_flag(a.status)

    # dx[N,I] = dz w
    if dx:
        if a.by_rows:
            team_rows(team, N, &r0, &r1)
            c0, c1 = 0, I
        else:
            share_output(team, N, I, &r0, &r1, &c0, &c1)
        if r0 < r1 and c0 < c1:
            multiply(r1 - r0, c1 - c0, O, dz + r0 * O, O, 1, w + c0, I, 1, dx + r0 * I + c0, I,
                     NULL, False, N, NULL, scratch)
