"""Matrix products, and the dense layer made of them.

design: as src/dense.pxi. The bias starts the product's sums, the activation runs over a thread's
own part of y while that is in its cache. Threads share rows, or columns where those are many.
"""

from __future__ import annotations

from fastgrad.arena import Array
from fastgrad.backends.numba.activations import activate, times_slope
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.matrices import multiply
from fastgrad.backends.numba.memory import flat, given, part, raise_flag
from fastgrad.backends.numba.sums import add_rows, all_finite
from fastgrad.backends.numba.team import Team, share, wait

COLUMNS, ROWS = 32, 12  # shares are whole panels, or register tiles
GROUP = 4096  # elements of dz whose bias sums follow while they are in L1


@inline
def share_output(team: Team, rows: int, columns: int) -> tuple[int, int, int, int]:
    """This thread's block of an output matrix."""
    if columns >= 2 * COLUMNS * team.used or rows < columns:
        c0, c1 = share(team, columns, COLUMNS)
        return 0, rows, c0, c1
    r0, r1 = share(team, rows, ROWS)
    return r0, r1, 0, columns


@kernel(work="M * N * K")
def product_nn(
    team: Team, a: Array, b: Array, bias: Array | None, accumulate: int, c: Array
) -> None:
    r0, r1, c0, c1 = share_output(team, c.shape[0], c.shape[1])
    own = part(bias, c0, c1 - c0)
    multiply(a[r0:r1], b[:, c0:c1], own, accumulate, c[r0:r1, c0:c1], len(c), team.scratch)


@kernel(work="M * N * K")
def product_nt(
    team: Team, a: Array, b: Array, bias: Array | None, accumulate: int, c: Array
) -> None:
    r0, r1, c0, c1 = share_output(team, c.shape[0], c.shape[1])
    own = part(bias, c0, c1 - c0)
    multiply(a[r0:r1], b[c0:c1].T, own, accumulate, c[r0:r1, c0:c1], len(c), team.scratch)


@kernel(work="M * N * K")
def product_tn(
    team: Team, a: Array, b: Array, bias: Array | None, accumulate: int, c: Array
) -> None:
    r0, r1, c0, c1 = share_output(team, c.shape[0], c.shape[1])
    own = part(bias, c0, c1 - c0)
    multiply(a[:, r0:r1].T, b[:, c0:c1], own, accumulate, c[r0:r1, c0:c1], len(c), team.scratch)


@kernel(work="N * I * O")
def dense_forward(
    team: Team,
    x: Array,
    w: Array,
    b: Array | None,
    activation: int,
    alpha: float,
    y: Array,
    slope: Array | None,
) -> None:
    rows, outputs = y.shape
    r0, r1, c0, c1 = share_output(team, rows, outputs)
    own = part(b, c0, c1 - c0)
    multiply(x[r0:r1], w[c0:c1].T, own, 0, y[r0:r1, c0:c1], rows, team.scratch)
    if c1 - c0 == outputs:
        activate(activation, alpha, flat(y, r0, r1), flat(slope, r0, r1))
    else:
        for r in range(r0, r1):
            at = r * outputs + c0
            activate(activation, alpha, part(y, at, c1 - c0), part(slope, at, c1 - c0))


@kernel(work="N * I * O")
def dense_backward(
    team: Team,
    x: Array,
    w: Array,
    y: Array,
    slope: Array | None,
    activation: int,
    alpha: float,
    dy: Array,
    dx: Array | None,
    dw: Array,
    db: Array | None,
    status: Array | None,
) -> None:
    rows, outputs = dy.shape
    # dz = dy f'(z) in place, and its column sums; threads share columns, so that no sum is split
    c0, c1 = share(team, outputs, COLUMNS)
    if given(db):
        own = part(db, c0, c1 - c0)
        for j in range(c1 - c0):
            own[j] = 0
    some = 1 + GROUP // (outputs + 1)  # rows that stay in L1 between the two loops
    for r in range(0, rows, some):
        last = min(rows, r + some)
        if c1 - c0 == outputs:
            dz = flat(dy, r, last)
            times_slope(activation, alpha, flat(y, r, last), flat(slope, r, last), dz)
        elif c0 < c1:
            for i in range(r, last):
                at, n = i * outputs + c0, c1 - c0
                dz = part(dy, at, n)
                times_slope(activation, alpha, part(y, at, n), part(slope, at, n), dz)
        if given(db):
            add_rows(dy, outputs, r * outputs + c0, last - r, part(db, c0, c1 - c0))
    if given(db) and not all_finite(part(db, c0, c1 - c0)):
        raise_flag(status)
    wait(team)

    r0, r1, c0, c1 = share_output(team, outputs, x.shape[1])
    multiply(dy[:, r0:r1].T, x[:, c0:c1], None, 0, dw[r0:r1, c0:c1], outputs, team.scratch)
    for r in range(r0, r1):
        if not all_finite(part(dw, r * x.shape[1] + c0, c1 - c0)):
            raise_flag(status)
    if given(dx):
        r0, r1, c0, c1 = share_output(team, rows, x.shape[1])
        multiply(dy[r0:r1], w[:, c0:c1], None, 0, dx[r0:r1, c0:c1], rows, team.scratch)


@kernel
def check_finite(team: Team, g: Array, status: Array) -> None:
    if not all_finite(g):
        status[0] = 1
