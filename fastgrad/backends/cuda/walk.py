"""The kernel that goes through a program: made for the phases that occur in it.

design:
 a) A program's table has an entry for each phase: which function, where its words are, how often it
    repeats, and whether the status is looked at behind it. One launch goes through all of it, and
    does so as often as asked for: threads meet behind every phase, within the block where there is
    one, else across the grid.
 b) Whether to stop must be seen alike by all blocks: they meet again once they have looked, unless
    the next phase leaves the status alone, behind which they meet anyway.
 c) The simulator runs one block after the other. There, a launch may make one repetition of one
    phase (`one`) in several; `whole` has one.
"""

from __future__ import annotations

import functools
import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from fastgrad.backends.cuda.memory import Memory, everything
from fastgrad.backends.cuda.target import SIMULATED, cuda

# of phases, and whether the reals of each are float64 in a program of float32
Functions = tuple[tuple[Callable[..., None], bool], ...]

LOOK, AGREE = 1, 2  # at the status behind a phase; and meet before the next phase, which writes it
ENTRY = 4  # numbers of an entry: function, words, repetitions, whether the status is looked at
PLAN = 3  # of a plan: where the status is, and the numbers of runs; how many segments follow
# of a segment: first entry, behind the last one, whether it runs whatever the status is
SEGMENT = 3

_TEXT = '''
def whole(reals, doubles, ints, plan):
    shared = cuda.shared.array(0, REALS)
    sums = cuda.shared.array(0, DOUBLES)
    m = Memory(reals, doubles, ints, shared, sums, 0)
    wide = Memory(doubles, doubles, ints, sums, sums, 0)
    grid = cuda.cg.this_grid()
    alone = cuda.gridDim.x == 1
    status, times, segments = ints[plan], ints[plan + 1], ints[plan + 2]
    stopped = ints[status] != 0
    if alone:  # nobody raises it before all have looked
        cuda.syncthreads()
    else:
        grid.sync()
    for segment in range(segments):
        at = plan + PLAN + SEGMENT * segment
        start, stop, always = ints[at], ints[at + 1], ints[at + 2] != 0
        for run in range(ints[times + segment]):
            for entry in range(start, stop, ENTRY):
                if stopped and not always:
                    break
                which, words = ints[entry], ints[entry + 1]
                for k in range(ints[entry + 2]):
{deep}
                    if alone:
                        cuda.syncthreads()
                    else:
                        grid.sync()
                if ints[entry + 3] != 0:
                    stopped = ints[status] != 0
                if ints[entry + 3] == AGREE:
                    if alone:
                        cuda.syncthreads()
                    else:
                        grid.sync()
            if stopped:
                break


def one(reals, doubles, ints, entry, k):
    """One repetition of one phase."""
    shared = cuda.shared.array(0, REALS)
    sums = cuda.shared.array(0, DOUBLES)
    m = Memory(reals, doubles, ints, shared, sums, k)
    wide = Memory(doubles, doubles, ints, sums, sums, k)
    which, words = ints[entry], ints[entry + 1]
{flat}
'''


def source(functions: Functions, real: np.dtype[Any]) -> dict[str, Any]:
    """What the text of both kernels defines, for these functions of phases and that dtype."""
    text = _TEXT.format(deep=_choice(functions, 20), flat=_choice(functions, 4))
    scope: dict[str, Any] = {f"phase_{i}": one for i, (one, _) in enumerate(functions)}
    scope |= {"cuda": cuda, "Memory": Memory, "ENTRY": ENTRY, "PLAN": PLAN, "SEGMENT": SEGMENT}
    scope["AGREE"] = AGREE
    scope |= {"REALS": real, "DOUBLES": np.dtype(np.float64)}
    name = f"<phases {' '.join(function.__name__ for function, _ in functions)}>"
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    exec(compile(text, name, "exec"), scope)
    return scope


def signature(real: np.dtype[Any], numbers: int) -> str:
    """That of a kernel which is given so many numbers besides the memory, as Numba reads it."""
    return f"void({real}[::1], float64[::1], int64[::1]{', int64' * numbers})"


class Walker:
    """The kernels for a list of phases' functions, and one dtype, each made when it is needed."""

    def __init__(self, functions: Functions, real: np.dtype[Any]) -> None:
        self.functions, self.real = functions, real

    @functools.cached_property
    def scope(self) -> dict[str, Any]:
        """What the text of the kernels defines."""
        return source(self.functions, self.real)

    @functools.cached_property
    def whole(self) -> Any:
        """Goes through a plan; for (plan)."""
        if SIMULATED:
            return self._simulated("whole")
        from fastgrad.backends.cuda.driver import Kernel

        return Kernel(self.functions, self.real)

    @functools.cached_property
    def one(self) -> Any:
        """Makes one repetition of a phase, in the simulator; for (entry, k)."""
        return self._simulated("one")

    def _simulated(self, name: str) -> Any:
        function = self.scope[name]
        memory = tuple(_everything(np.dtype(kind)) for kind in (self.real, "float64", "int64"))

        def simulated(*numbers: int) -> None:
            with np.errstate(all="ignore"):  # which each thread has of its own
                function(*memory, *numbers)  # as arguments of the kernel they would be copied

        return cuda.jit(simulated)


_everything = functools.cache(everything)


_made: list[Walker] = []


def walker(functions: Functions, real: np.dtype[Any]) -> Walker:
    """One that has these functions, and maybe others: to compile one more takes ten seconds."""
    for made in _made:
        if made.real == real and set(functions) <= set(made.functions):
            return made
    _made.append(Walker(functions, real))
    return _made[-1]


def _choice(functions: Functions, indent: int) -> str:
    lines = []
    for i, (_, wide) in enumerate(functions):
        memory = "wide" if wide else "m"
        lines += [f"{'el' if i else ''}if which == {i}:", f"    phase_{i}({memory}, words, k)"]
    return "\n".join(" " * indent + line for line in lines)
