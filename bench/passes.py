"""Both passes of a model as replays of what is recorded, for benches that time nothing else."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import fastgrad as fg
from fastgrad import backends


def replayed(model: fg.Sequential, x: Any, dy: Any) -> Callable[[int], None]:
    """Record both passes on a batch and return what replays them.

    `Sequential.forward` and `backward` check x and dy, copy them in and y out. A training step does
    none of that between its layers, and neither does a replay; it leaves the same gradients of the
    parameters in ``model.grads``. There is no gradient of x. Where the recorded calls use the
    memory of dy for something else, as they may, each pass is given it anew.

    Parameters
    ----------
    model : Sequential
    x : array-like
        A batch; the replays read it from the memory of the recording.
    dy : array-like, the shape of the outputs

    Returns
    -------
    callable
        Takes the number of passes forward and backward to make.
    """
    model.forward(x, train=True)
    model.backward(dy, input_grad=False)
    known = model._last
    assert known is not None
    forward, (gradient, _, backward) = known.forward, known.backwards[False]
    given = np.array(dy, gradient.dtype)

    def run(count: int, give: bool) -> None:
        threads = backends.num_threads()
        for _ in range(count):
            forward.run([1], threads)
            if give:
                gradient[...] = given
            backward.run([1], threads)

    run(1, give=False)
    return partial(run, give=not np.array_equal(gradient, given))
