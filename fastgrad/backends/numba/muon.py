"""Muon: momentum whose singular values are all brought near 1, a matrix at a time.

design: as src/muon.pxi.
 a) x, the matrix or its transpose, is never higher than wide, so that its Gram matrix is the
    smaller one. Each round is x = a x + (b G + c G G) x with G = x x', three products.
 b) Threads share rows in whole tiles; two meetings a round, for all of G and all of x.
 c) PyTorch iterates in bfloat16, this in the dtype of the parameters.
"""

from __future__ import annotations

import math

from fastgrad.arena import Array
from fastgrad.backends.numba.compiling import inline
from fastgrad.backends.numba.entry import kernel
from fastgrad.backends.numba.matrices import multiply
from fastgrad.backends.numba.memory import number, part
from fastgrad.backends.numba.sums import squares as sum_of_squares
from fastgrad.backends.numba.team import Team, share, wait

ROWS = 12  # of a share


@inline
def _momentum(team: Team, g: Array, hyper: Array, mean: Array, u: Array, squares: Array) -> None:
    """The running mean of the gradient; what is to be made orthogonal goes to u."""
    keep, add = number(g, hyper[7]), number(g, 1 - hyper[7])
    of_mean = number(g, hyper[7] if hyper[8] != 0 else 1.0)
    of_gradient = number(g, 1.0) - of_mean
    columns = g.shape[1]
    low, high = share(team, len(g), ROWS)
    for r in range(low, high):
        x, m = part(g, r * columns, columns), part(mean, r * columns, columns)
        y = part(u, r * columns, columns)
        for j in range(columns):
            m[j] = keep * m[j] + add * x[j]
            y[j] = of_gradient * x[j] + of_mean * m[j]
        squares[r] = sum_of_squares(y)


@inline
def _normalize(team: Team, eps: float, squares: Array, u: Array, x: Array, turned: bool) -> None:
    """x = u / |u|, or its transpose."""
    total = 0.0
    for r in range(len(squares)):
        total += squares[r]
    scale = number(x, 1 / max(math.sqrt(total), eps))
    rows, columns = x.shape
    low, high = share(team, rows, ROWS)
    for r in range(low, high):
        own, source = part(x, r * columns, columns), part(u, r * columns, columns)
        if turned:
            source = part(u, r, (columns - 1) * rows + 1)
            for j in range(columns):
                own[j] = scale * source[j * rows]
        else:
            for j in range(columns):
                own[j] = scale * source[j]


@inline
def _multiply_rows(
    team: Team, hyper: Array, gram: Array, x: Array, y: Array, polynomial: Array
) -> None:
    """y = a x + (b G + c G G) x for this thread's rows of y, all of G being there."""
    of_x, of_gram, of_square = number(x, hyper[11]), number(x, hyper[12]), number(x, hyper[13])
    side, columns = x.shape
    low, high = share(team, side, ROWS)
    rows = high - low
    if rows == 0:
        return
    own, own_gram = part(polynomial, low * side, rows * side), part(gram, low * side, rows * side)
    room = part(y, low * columns, rows * side)  # these rows of y have room for those of G
    for i in range(rows * side):
        own[i] = of_gram * own_gram[i]
        room[i] = of_square * own_gram[i]
    into = polynomial[low:high]
    multiply(room.reshape(rows, side), gram, None, 1, into, side, team.scratch)
    to, own_x = part(y, low * columns, rows * columns), part(x, low * columns, rows * columns)
    for i in range(rows * columns):
        to[i] = of_x * own_x[i]
    multiply(into, x, None, 1, y[low:high], side, team.scratch)


@inline
def _move(team: Team, hyper: Array, x: Array, p: Array, turned: bool) -> None:
    """p = (1 - lr weight_decay) p - lr ratio x."""
    rows, columns = p.shape
    ratio = math.sqrt(max(1.0, rows / columns))
    if hyper[15] != 0:
        ratio = 0.2 * math.sqrt(float(max(rows, columns)))
    rate, shrink = number(p, hyper[0] * ratio), number(p, 1 - hyper[0] * hyper[9])
    low, high = share(team, rows, ROWS)
    for r in range(low, high):
        own = part(p, r * columns, columns)
        if turned:
            source = part(x, r, (columns - 1) * rows + 1)
            for j in range(columns):
                own[j] = shrink * own[j] - rate * source[j * rows]
        else:
            source = part(x, r * columns, columns)
            for j in range(columns):
                own[j] = shrink * own[j] - rate * source[j]


@kernel(work="5 * L * L * (L + 2 * max(O, I))")
def muon(
    team: Team,
    g: Array,
    hyper: Array,
    p: Array,
    mean: Array,
    x: Array,
    y: Array,
    gram: Array,
    polynomial: Array,
    squares: Array,
) -> None:
    rows, columns = p.shape
    turned = rows > columns
    side, longer = min(rows, columns), max(rows, columns)
    _momentum(team, g, hyper, mean, y, squares)
    wait(team)
    now, following = x.reshape(side, longer), y.reshape(side, longer)
    _normalize(team, hyper[10], squares, following, now, turned)
    wait(team)
    low, high = share(team, side, ROWS)
    for _ in range(int(hyper[14])):
        if low < high:
            multiply(now[low:high], now.T, None, 0, gram[low:high], side, team.scratch)
        wait(team)
        _multiply_rows(team, hyper, gram, now, following, polynomial)
        wait(team)
        now, following = following, now
    _move(team, hyper, now, p, turned)
