"""Muon: momentum whose singular values are all brought near 1, a matrix at a time.

design: each round is x = a x + (b G + c G G) x, where G = x x'.
 a) A matrix that is higher than wide is not turned: its G is x' x, the smaller one, too, and stands
    on the right in each product.
 b) So many rounds are recorded as hyper asks for then. Where it asks for fewer when the call runs,
    the others leave x as it is, with a = 1 and b = c = 0. Where it asks for more, one block makes
    those: slow, but only after the number was raised between two runs.
 c) PyTorch iterates in bfloat16, this in the dtype of the parameters.
"""

from __future__ import annotations

import math

import numpy as np

from fastgrad.arena import Array
from fastgrad.backends.cuda import tiles
from fastgrad.backends.cuda.device import block_sum, device, number, part
from fastgrad.backends.cuda.elementary import sqrt
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Scratch, Word, kernel, over, rows
from fastgrad.backends.cuda.product import Phases, Product, make
from fastgrad.backends.cuda.target import cuda

MOST = 99  # rounds

# the words of what is made of x and G before a round's products, as `_scale` reads them
SIZE, SIDE, HYPER, X, Y, GRAM, POLYNOMIAL, SQUARE = range(8)
SCALED = 8
ROUND = SCALED + 3 * tiles.WORDS  # words of a whole round


@device
def _momentum(m: Memory, w: int, k: int) -> None:
    """The running mean of the gradient; what is to be made orthogonal goes to u."""
    count, columns, hyper = m.ints[w], m.ints[w + 1], part(m.doubles, m.ints[w + 2], 9)
    keep, add = number(m.reals, hyper[7]), number(m.reals, 1 - hyper[7])
    of_mean, of_gradient = number(m.reals, 1.0), number(m.reals, 0.0)
    if hyper[8] != 0:
        of_mean, of_gradient = keep, number(m.reals, 1.0) - keep
    for r in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        g = part(m.reals, m.ints[w + 3] + r * columns, columns)
        means = part(m.reals, m.ints[w + 4] + r * columns, columns)
        u = part(m.reals, m.ints[w + 5] + r * columns, columns)
        found = 0.0
        for j in range(cuda.threadIdx.x, columns, cuda.blockDim.x):
            mean = keep * means[j] + add * g[j]
            means[j] = mean
            value = of_gradient * g[j] + of_mean * mean
            u[j] = value
            found += np.float64(value) * np.float64(value)
        found = block_sum(m, found)
        if cuda.threadIdx.x == 0:
            m.doubles[m.ints[w + 6] + r] = found


@device
def _normalize(m: Memory, w: int, k: int) -> None:
    """x = u / |u|."""
    n, count = m.ints[w], m.ints[w + 1]
    squares, total = part(m.doubles, m.ints[w + 3], count), 0.0
    u, x = part(m.reals, m.ints[w + 4], n), part(m.reals, m.ints[w + 5], n)
    for r in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        total += squares[r]
    norm = sqrt(block_sum(m, total))
    eps = m.doubles[m.ints[w + 2] + 10]
    if norm < eps:  # as max says, but for NaN
        norm = eps
    scale = number(m.reals, np.float64(1) / norm)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        x[i] = scale * u[i]


@device
def _scale(m: Memory, w: int, round: int, first: int, step: int) -> None:
    """A thread's elements of a x, b G and c G, to which the products of a round are added."""
    n, side, hyper = m.ints[w + SIZE], m.ints[w + SIDE], part(m.doubles, m.ints[w + HYPER], 15)
    x, y = part(m.reals, m.ints[w + X], n), part(m.reals, m.ints[w + Y], n)
    gram = part(m.reals, m.ints[w + GRAM], side * side)
    polynomial = part(m.reals, m.ints[w + POLYNOMIAL], side * side)
    square = part(m.reals, m.ints[w + SQUARE], side * side)
    of_x, of_gram, of_square = number(m.reals, 1.0), number(m.reals, 0.0), number(m.reals, 0.0)
    if round < int(hyper[14]):
        of_x, of_gram = number(m.reals, hyper[11]), number(m.reals, hyper[12])
        of_square = number(m.reals, hyper[13])
    for i in range(first, n, step):
        y[i] = of_x * x[i]
    for i in range(first, side * side, step):
        polynomial[i] = of_gram * gram[i]
        square[i] = of_square * gram[i]


@device
def _scale_round(m: Memory, w: int, k: int) -> None:
    _scale(m, w + 1, m.ints[w], cuda.grid(1), cuda.gridsize(1))


@device
def _multiply(m: Memory, w: int) -> None:
    """A product by one block, plainly: code for tiles takes seconds to compile."""
    columns, depth = m.ints[w + tiles.N], m.ints[w + tiles.K]
    a, down, along = m.ints[w + tiles.A], m.ints[w + tiles.A_ROW], m.ints[w + tiles.A_COLUMN]
    b, under, across = m.ints[w + tiles.B], m.ints[w + tiles.B_ROW], m.ints[w + tiles.B_COLUMN]
    for i in range(cuda.threadIdx.x, m.ints[w + tiles.M] * columns, cuda.blockDim.x):
        row, column, found = i // columns, i % columns, number(m.reals, 0.0)
        for k in range(depth):
            left = m.reals[a + row * down + k * along]
            found += left * m.reals[b + k * under + column * across]
        at = m.ints[w + tiles.C] + row * m.ints[w + tiles.C_ROW] + column
        if m.ints[w + tiles.ADDED] != 0:
            found += m.reals[at]
        m.reals[at] = found
    cuda.syncthreads()


@device
def _further_rounds(m: Memory, w: int, k: int) -> None:
    """Those beyond the ones that were recorded."""
    if cuda.blockIdx.x == 0:
        recorded, hyper = m.ints[w], m.ints[w + 1]
        for i in range(3 * recorded, 3 * int(m.doubles[hyper + 14])):
            round, which = i // 3, i % 3
            at = w + 2 + round % 2 * ROUND
            if which == 1:
                _scale(m, at, round, cuda.threadIdx.x, cuda.blockDim.x)
                cuda.syncthreads()
            _multiply(m, at + SCALED + which * tiles.WORDS)


@device
def _move(m: Memory, w: int, k: int) -> None:
    """p = (1 - lr weight_decay) p - lr ratio x."""
    count, columns, recorded = m.ints[w], m.ints[w + 1], m.ints[w + 2]
    hyper, n = part(m.doubles, m.ints[w + 3], 16), count * columns
    p, x = part(m.reals, m.ints[w + 4], n), part(m.reals, m.ints[w + 5], n)
    if max(recorded, int(hyper[14])) % 2 == 1:
        x = part(m.reals, m.ints[w + 6], n)
    ratio = m.doubles[w + 7]
    if hyper[15] != 0:
        ratio = m.doubles[w + 8]
    rate, shrink = number(m.reals, hyper[0] * ratio), number(m.reals, 1 - hyper[0] * hyper[9])
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        p[i] = shrink * p[i] - rate * x[i]


def _products(
    x: Array, y: Array, gram: Array, polynomial: Array, square: Scratch
) -> tuple[Product, Product, Product]:
    """Those of a round: G = x x', b G + c G G, and y = a x + that times x; or as of a)."""
    (count, columns), side = x.shape, len(gram)
    across, turned = (columns, 1), (1, columns)
    of_square = Product(
        square, gram, polynomial, side, side, side, (side, 1), (side, 1), side, accumulate=True
    )
    if count <= columns:
        of_x = Product(x, x, gram, side, side, columns, across, turned, side)
        factors, sizes, steps = (polynomial, x), (count, columns, side), ((side, 1), across)
    else:
        of_x = Product(x, x, gram, side, side, count, turned, across, side)
        factors, sizes, steps = (x, polynomial), (count, columns, side), (across, (side, 1))
    return of_x, of_square, Product(*factors, y, *sizes, *steps, columns, accumulate=True)


@kernel
def muon(
    g: Array, hyper: Array, p: Array, mean: Array, x: Array, y: Array, gram: Array,
    polynomial: Array, squares: Array,
) -> Phases:  # fmt: skip
    count, columns = p.shape
    side, square = len(gram), Scratch(p.dtype, *gram.shape)
    recorded = min(max(int(hyper[14]), 1), MOST)
    phases: Phases = [
        rows(_momentum, count, 4 * columns, count, columns, hyper, g, mean, y, squares),
        over(_normalize, p.size, p.size, count, hyper, squares, y, x),
    ]
    both: list[Word] = []
    for now, following in ((x, y), (y, x)):
        both += [p.size, side, hyper, now, following, gram, polynomial, square]
        for product in _products(now, following, gram, polynomial, square):
            both += product.words(tiles.SHAPES[0])
    for i in range(recorded):
        now, following = (x, y) if i % 2 == 0 else (y, x)
        of_x, of_square, of_both = _products(now, following, gram, polynomial, square)
        words = i, p.size, side, hyper, now, following, gram, polynomial, square
        work = 2.0 * p.size + 3.0 * gram.size
        phases += [*make([of_x]), over(_scale_round, p.size, *words, work=work)]
        phases += [*make([of_square]), *make([of_both])]
    further: tuple[Word, ...] = recorded, hyper, *both
    ratios = math.sqrt(max(1.0, count / columns)), 0.2 * math.sqrt(max(count, columns))
    return [
        *phases,
        rows(_further_rounds, 1, 1, *further),
        over(_move, p.size, count, columns, recorded, hyper, p, x, y, *ratios, work=3 * p.size),
    ]
