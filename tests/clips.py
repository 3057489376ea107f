"""A clip on its own: recorded over the arrays of a model that is none, and fed with gradients."""

from __future__ import annotations

import itertools

import numpy as np

from fastgrad import backends
from fastgrad.arena import Arena
from fastgrad.program import Tape, Workspace

SHAPES = {"0.weight": (7, 5), "0.bias": (7,), "2.scale": (1,), "3.weight": (3, 7), "3.bias": (3,)}


class Recorded:
    """A clip over arenas of these shapes; names before the dot are layers."""

    def __init__(self, clip, shapes=SHAPES, dtype=np.float64):
        self.clip = clip
        self.params, self.grads = Arena(shapes, dtype), Arena(shapes, dtype)
        parts = self.grads.parts
        by_layer = itertools.groupby(parts, lambda part: part.name.partition(".")[0])
        self.starts = [next(group).start for _, group in by_layer]
        self.state = clip.state(parts, self.starts)
        tape = Tape(backends.active(), Workspace(), dtype)
        clip.record(tape, self.grads.flat, self.params.flat, parts, self.starts, self.state)
        self.program = tape.backend.program([tape.take()], np.zeros(1, np.int64), tape.keep)

    def feed(self, flat):
        """What becomes of a flat gradient; padding is left out of what is given and returned."""
        inside = np.concatenate([np.r_[0:0], *(np.r_[p.start : p.stop] for p in self.grads.parts)])
        self.grads.flat[inside] = flat
        self.program.run([1], backends.num_threads())
        return self.grads.flat[inside]

    @property
    def size(self):
        return sum(part.size for part in self.grads.parts)

    @property
    def report(self):
        return self.clip.read(self.state)


def feed_norm(clip, norm):
    """The norm of a gradient of this norm after clipping."""
    gradient = np.zeros(clip.size)
    gradient[:2] = 0.6 * norm, -0.8 * norm
    return float(np.linalg.norm(clip.feed(gradient)))
