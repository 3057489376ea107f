"""Products of matrices, and phases that make several of them at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from fastgrad.arena import Array
from fastgrad.backends.cuda import finishing, library, tiles
from fastgrad.backends.cuda.device import device
from fastgrad.backends.cuda.library import LargeProduct
from fastgrad.backends.cuda.memory import Memory
from fastgrad.backends.cuda.phase import Phase, Scratch, Word, kernel
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.tiles import Shape

Place = Array | Scratch
Steps = tuple[int, int]
Phases = list[Phase | LargeProduct]

# Of the GPU that shapes of tiles are chosen for, whatever GPU there is, so that results are the
# same everywhere. The last three are estimates that no GPU has settled.
PROCESSORS = 132
LANES = 128  # multiply-adds of one of them in a cycle
LATENCY = 700  # cycles until a panel has come
MEETING = 2500  # cycles of one more phase
RATES = {4: 0.5, 2: 0.3}  # part of all lanes that loads from shared memory leave, by `Shape.each`


class Product:
    """c[M,N] = a[M,K] b[K,N], plus bias[N] and c where they are asked for.

    Parameters
    ----------
    a, b, c : ndarray or Scratch
        Or the first element of what is meant: steps say where the others are.
    M, N, K : int
    a_steps, b_steps : (int, int)
        Elements from a row to the next one, and from a column to the next one.
    c_step : int
        Elements from a row of c to the next one; columns are neighbours.
    bias : ndarray, optional
    accumulate : bool
        Whether c is added to.
    count : ndarray of int64, optional
        Its first element says, when it runs, how many of M or K count.
    cut : "M" or "K"
        Which of them.
    ones : ndarray, optional
        Becomes, for each row, the sum of a over K.
    status : int64[1], optional
        Raised where a result is not finite.
    slope, alpha
        Of an activation.
    """

    def __init__(
        self, a: Place, b: Place, c: Place, M: int, N: int, K: int, a_steps: Steps, b_steps: Steps,
        c_step: int, bias: Array | None = None, accumulate: bool = False,
        count: Array | None = None, cut: str = "M", ones: Array | None = None,
        status: Array | None = None, slope: Array | None = None, alpha: float = 0.0,
    ) -> None:  # fmt: skip
        self.sizes = M, N + (ones is not None), K
        self.large = None
        if count is None and library.worth(M, N, K):
            self.large = LargeProduct(a, b, c, M, N, K, a_steps, b_steps, c_step, accumulate)
        cuts = 0 if count is None else {"M": tiles.CUT_M, "K": tiles.CUT_K}[cut]
        self._start: tuple[Word, ...] = (
            M, N, K, a, *a_steps, b, *b_steps, c, c_step, bias, accumulate, count, cuts, ones,
            status,
        )  # fmt: skip
        self._end: tuple[Word, ...] = slope, float(alpha)
        self.finish = a, c, (M, N, K), c_step, bias, ones, status, slope, float(alpha)

    def tiles(self, shape: Shape) -> int:
        """How many tiles it has."""
        M, N, _ = self.sizes
        return -(-M // shape.tile) * -(-N // shape.tile)

    def words(self, shape: Shape) -> tuple[Word, ...]:
        """As `tiles` reads them."""
        return *self._start, self.tiles(shape), *self._end


@functools.cache
def _products(
    shape: Shape, activation: Callable[..., Any] | None, slope: Callable[..., Any] | None
) -> Callable[..., None]:
    compute = tiles.tile_of(shape, activation, slope)

    @device
    def products(m: Memory, w: int, k: int) -> None:
        """Blocks take tiles by turns, of all products one after the other."""
        for tile in range(cuda.blockIdx.x, m.ints[w], cuda.gridDim.x):
            rest, at = tile, w + 1
            while rest >= m.ints[at + tiles.TILES]:
                rest -= m.ints[at + tiles.TILES]
                at += tiles.WORDS
            compute(m, at, rest)

    return products


def make(
    found: Sequence[Product],
    activation: Callable[..., Any] | None = None,
    slope: Callable[..., Any] | None = None,
) -> Phases:
    """The phases that make all of these products, of which none needs another.

    Large ones are left to cuBLAS. The others share a phase where tiles of one shape suit them: that
    of the first, whose result depends on no other product.
    """
    phases: Phases = []
    shared: dict[Shape, list[Product]] = {}
    for one in found:
        if one.large is not None:
            phases += [one.large, *finishing.phases(*one.finish, activation, slope)]
            continue
        own = min(tiles.SHAPES, key=functools.partial(_cycles, one))
        apart = _cycles(one, own) + MEETING
        joined = (shape for shape in shared if _cycles(one, shape) <= apart)
        shared.setdefault(next(joined, own), []).append(one)
    return phases + [_together(*both, activation, slope) for both in shared.items()]


def _together(
    shape: Shape,
    found: Sequence[Product],
    activation: Callable[..., Any] | None,
    slope: Callable[..., Any] | None,
) -> Phase:
    """A phase that makes all of these products."""
    total = sum(product.tiles(shape) for product in found)
    words = [word for product in found for word in product.words(shape)]
    work = sum(float(M * N * K) for M, N, K in (product.sizes for product in found))
    function = _products(shape, activation, slope)
    return Phase(function, (total, *words), total, work, 1, 8 * shape.shared)


def _cycles(one: Product, shape: Shape) -> float:
    """About how long it takes in tiles of that shape."""
    depth = one.sizes[2]
    of_each = shape.tile**2 / (LANES * RATES[shape.each])
    turns = -(-one.tiles(shape) // PROCESSORS)
    return turns * (depth * of_each + -(-depth // shape.depth) * LATENCY)


def product(
    a: Place, b: Place, c: Place, M: int, N: int, K: int, a_steps: Steps, b_steps: Steps,
    c_step: int, **options: Any,
) -> Phases:  # fmt: skip
    """The phases of one `Product`."""
    return make([Product(a, b, c, M, N, K, a_steps, b_steps, c_step, **options)])


@kernel
def product_nn(a: Array, b: Array, bias: Array | None, accumulate: int, c: Array) -> Phases:
    (M, K), N = a.shape, b.shape[1]
    options = {"bias": bias, "accumulate": accumulate}
    return product(a, b, c, M, N, K, (K, 1), (N, 1), N, **options)


@kernel
def product_nt(a: Array, b: Array, bias: Array | None, accumulate: int, c: Array) -> Phases:
    (M, K), N = a.shape, b.shape[0]
    options = {"bias": bias, "accumulate": accumulate}
    return product(a, b, c, M, N, K, (K, 1), (1, K), N, **options)


@kernel
def product_tn(a: Array, b: Array, bias: Array | None, accumulate: int, c: Array) -> Phases:
    (K, M), N = a.shape, b.shape[1]
    options = {"bias": bias, "accumulate": accumulate}
    return product(a, b, c, M, N, K, (1, M), (N, 1), N, **options)
