"""Matrix products of all shapes that take another way: tile, tail, panel, block, dot product."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import exact
from rounding import assert_within, rounding

products = pytest.mark.parametrize("kernel", ["product_nn", "product_nt", "product_tn"])
ENDINGS = ["plain", "bias", "accumulate"]
# Shapes are M, N, K: a[M,K] b[K,N] = c[M,N].
EVERY_WIDTH = {
    "M": [(n, 5, 9) for n in range(71)],
    "N": [(8, n, 9) for n in range(71)],
    "K": [(8, 5, n) for n in range(71)],
}
# Up to 2 rows (5 if K is 512 or more) are dot products, others fill one or two register tiles.
FEW_ROWS = list(product(range(1, 15), (1, 3, 4, 5, 17, 33), (7, 16, 33)))
# Around the depths of a panel and the heights of a block that have been in use.
DEEP = list(product((1, 3, 5, 6, 8), (5, 33), (255, 256, 257, 511, 512, 513, 1023, 1024, 1025)))
TALL = [(m, 5, 3) for m in (239, 241, 323, 324, 325, 481, 649, 961)]
TALL += [(481, 5, 257), (325, 5, 1025)]
# Row lengths of A that are a power of two and many columns of B: A is copied. Below: B is not
# packed as long as it fits L2.
STRIDES = [(13, 133, 512), (13, 133, 1536), (256, 133, 13), (512, 133, 13), (481, 133, 512)]
CACHE = [(20, 64, 64), (20, 70, 100), (13, 64, 300), (20, 70, 1000)]
FAR = [(25, 1100, 1030)]  # B comes from memory


def check(run, kernel, rng, dtype, shape, ending):
    """Each element is a chain of K or K + 1 multiply-adds, in whatever order."""
    M, N, K = shape
    a, b, c = (rng.standard_normal(s).astype(dtype) for s in ((M, K), (K, N), (M, N)))
    bias = c[0] if ending == "bias" and M else None
    given = {
        "a": a.T.copy() if kernel == "product_tn" else a,
        "b": b.T.copy() if kernel == "product_nt" else b,
        "bias": bias,
        "accumulate": int(ending == "accumulate"),
    }
    given |= {"c": c} if ending == "accumulate" else {}
    terms = np.abs(a.astype(np.float64)) @ np.abs(b)
    start = bias if bias is not None else c * given["accumulate"]
    bound = rounding(terms + np.abs(start), dtype, K + 1)
    assert_within(run(kernel, **given).c, exact(kernel, **given).c, bound, shape)


@products
@pytest.mark.parametrize("axis", EVERY_WIDTH)
def test_every_width(run, kernel, rng, dtype, axis):
    for shape, ending in product(EVERY_WIDTH[axis], ENDINGS):
        check(run, kernel, rng, dtype, shape, ending)


@products
def test_every_branch(run, kernel, rng, dtype):
    for shape, ending in product(FEW_ROWS + DEEP + TALL + CACHE + FAR, ENDINGS):
        check(run, kernel, rng, dtype, shape, ending)
    for shape, ending in zip(STRIDES, ENDINGS + ENDINGS, strict=False):
        check(run, kernel, rng, dtype, shape, ending)
