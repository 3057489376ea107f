"""Twenty steps of every optimizer against PyTorch, or optax: golden/make_optimizers.py."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
from harness import golden
from rounding import H, assert_within, rounding

from fastgrad import backends, optimizers
from fastgrad.arena import Arena
from fastgrad.program import Tape, Workspace

VALUES = golden("optimizers")
CASES = [key[:-7] for key in VALUES if key.endswith(".config")]
# What an element of the state says of itself alone, and what the whole of its tensor says of it.
COUPLED = {"LAMB", "LARS", "Muon"}
# A round of Muon are three products over at most five elements, and five rounds at most.
ROUNDINGS = {"Muon": 5 * 3 * (5 + 2)}


class Steps:
    """An optimizer at work on the tensors of a case."""

    def __init__(self, ops, case, dtype):
        self.optimizer = optimizers.from_config(json.loads(str(VALUES[f"{case}.config"])))
        shapes = [tuple(shape) for shape in json.loads(str(VALUES[f"{case}.shapes"]))]
        names = {f"{i}.{'weight' if len(s) == 2 else 'bias'}": s for i, s in enumerate(shapes)}
        self.params, self.grads = Arena(names, dtype), Arena(names, dtype)
        self.used = np.concatenate([np.arange(p.start, p.stop) for p in self.params.parts])
        self.params.flat[self.used] = VALUES["p0"]
        flat = self.params.flat
        parts = [replace(part, hidden=len(part.shape) == 2) for part in self.params.parts]
        self.state = self.optimizer.state(flat, parts)
        self.hyper, self.step = np.array(self.optimizer.hyper()), np.zeros(1, np.int64)
        tape = Tape(ops, Workspace(), dtype)
        self.optimizer.record(tape, self.grads.flat, flat, self.state, self.hyper, self.step, parts)
        self.program = ops.program([tape.take()], np.zeros(1, np.int64), tape.keep)
        self.vectors = [flat, *self.state.values()]

    def set_step(self, step):
        self.step[0] = step
        self.hyper[0] = self.optimizer.lr * (1 if step < 10 else 0.5)

    def values(self):
        return np.array([vector[self.used] for vector in self.vectors])

    def updated(self, vectors, g):
        """Parameters and state after a step from these."""
        for own, given in zip([*self.vectors, self.grads.flat], [*vectors, g], strict=True):
            own[self.used] = given
        self.program.run([1], 1)
        return self.values()


@functools.cache
def sensitivities(case):
    """How parameters and state hang on what a step is given, at every step of the exact one.

    Of each step: all its values before and after (vectors, elements), and for every vector and
    the gradient (last) the change of all values per relative change of its elements: (vectors,
    elements) for each element, or all at once where no element hangs on another.
    """
    exact = Steps(backends.load("reference"), case, np.float64)
    size = exact.used.size
    coupled = type(exact.optimizer).__name__ in COUPLED
    masks = np.eye(size) if coupled else np.ones((1, size))
    found = []
    for step, g in enumerate(VALUES["grads"]):
        exact.set_step(step)
        before = exact.values()
        inputs = [*before, g]
        slopes = np.zeros((len(inputs), len(masks), len(before), size))
        for i, values in enumerate(inputs):
            for k, mask in enumerate(masks):
                if not (values * mask).any():
                    continue
                ends = []
                for h in (H, -H):
                    changed = [*inputs[:i], values * (1 + h * mask), *inputs[i + 1 :]]
                    ends.append(exact.updated(changed[:-1], changed[-1]))
                slopes[i, k] = (ends[0] - ends[1]) / (2 * H)
        after = exact.updated(before, g)
        found.append((before, after, g, np.abs(slopes)))
    return found


def bounds(case, dtype, count):
    """How far rounding may have taken parameters and state after each step, to first order.

    A step errs by what relative changes of its inputs by `count` roundings do, and by as many
    roundings of its results and their terms; what it is given in error it passes on.
    """
    eps = count * float(np.finfo(dtype).eps)
    error = None
    for before, after, _, slopes in sensitivities(case):
        if error is None:
            error = np.zeros_like(before)
        relative = np.divide(error, np.abs(before), out=np.zeros_like(error), where=before != 0)
        relative = np.vstack([relative + eps, np.full((1, before.shape[1]), eps)])
        if slopes.shape[1] == 1:
            error = np.einsum("ivn,in->vn", slopes[:, 0], relative)
        else:
            error = np.einsum("ikvn,ik->vn", slopes, relative)
        error += rounding(np.abs(before) + np.abs(after), dtype, count)
        yield error


@pytest.mark.parametrize("case", CASES)
def test_golden(ops, case, dtype):
    own = Steps(ops, case, dtype)
    count = ROUNDINGS.get(type(own.optimizer).__name__, 20)
    expected = zip(
        VALUES["grads"], VALUES[f"{case}.params"], bounds(case, dtype, count), strict=True
    )
    for step, (g, params, bound) in enumerate(expected):
        own.set_step(step)
        got = own.updated(own.values(), g)
        assert_within(got[0], params, bound[0], f"{step=}")
    for vector in own.vectors[:1]:
        assert not np.delete(vector, own.used).any(), "zeros between tensors"
