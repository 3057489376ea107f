"""PyTorch's sides: cuDNN's recurrent layers, and dense networks with Adam, in its fastest modes.

The data of a step are on the device, and the same in each. Modes are eager ones, for a training
step by the Adam that they use, and "graph": the whole pass or step is captured once in a
`torch.cuda.CUDAGraph` and replayed, with an Adam that is made for it. Everything runs on a CPU as
well, but for the graph and the times.
"""

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..peers.rows import LEARNING_RATE, Task
from ..peers.sequences import SequenceTask
from .correctness import Array, Found, minibatch, named

PEER = "PyTorch"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WARMUP = 3  # steps before a capture, which must not be the first to ask for workspaces


def use_precision(precision: str) -> None:
    """Have products of float32 be made in "fp32" or "tf32" from now on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer versions have other names for these, too
        torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.allow_tf32 = precision == "tf32"


def synchronize() -> None:
    """Wait until the device has done everything."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def release() -> None:
    """Give back the memory of sides that are gone."""
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    """What replays the step as a graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARMUP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    gc.collect()  # nothing may be freed during the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


class _Side:
    """What both kinds share: `_run` is one pass or step."""

    def __init__(self, precision: str) -> None:
        self._precision = precision
        use_precision(precision)

    def _run(self) -> None:
        raise NotImplementedError

    def _finish(self, mode: str) -> None:
        """Have the pass or step be a graph, if that is the mode."""
        if mode == "graph":
            self._run = _captured(self._run)  # type: ignore[method-assign]

    def seconds(self, count: int) -> float:
        """Device time of a pass or step, when so many follow each other."""
        use_precision(self._precision)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        begin.record()
        for _ in range(count):
            self._run()
        end.record()
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1e3 / count

    def latency(self) -> float:
        """Wall-clock time of one pass or step that is asked for alone, until it is done."""
        use_precision(self._precision)
        begin = time.perf_counter()
        self._run()
        synchronize()
        return time.perf_counter() - begin


class Passes(_Side):
    """Passes of a recurrent layer, forward and backward.

    Parameters
    ----------
    task : SequenceTask
    precision : {"fp32", "tf32"}
    mode : {"eager", "graph"}
    """

    def __init__(self, task: SequenceTask, precision: str, mode: str) -> None:
        super().__init__(precision)
        row = task.row
        layer = getattr(torch.nn, row.cell)(row.inputs, row.hidden, batch_first=True).to(DEVICE)
        layer.load_state_dict({name: torch.from_numpy(v) for name, v in named(task).items()})
        self._layer, self._params = layer, dict(layer.named_parameters())
        self._x, self._dy = (torch.from_numpy(a).to(DEVICE) for a in (task.x, task.dy))
        self._found: dict[str, Any] = {}
        self._finish(mode)

    def _run(self) -> None:
        y = self._layer(self._x)[0]
        grads = torch.autograd.grad(y, list(self._params.values()), self._dy)
        self._found = {"outputs": y.detach(), **dict(zip(self._params, grads, strict=True))}

    def check(self) -> Iterator[Found]:
        """Outputs and gradients after one pass, and after two more."""
        use_precision(self._precision)
        for count in (1, 2):
            for _ in range(count):
                self._run()
            synchronize()
            yield {name: value.cpu().numpy() for name, value in self._found.items()}


class Steps(_Side):
    """Training steps of a dense network, with Adam and cross entropy, all on one minibatch.

    Parameters
    ----------
    task : Task
    precision : {"fp32", "tf32"}
    mode : {"fused", "foreach", "graph"}
    """

    def __init__(self, task: Task, precision: str, mode: str) -> None:
        super().__init__(precision)
        self._task, nn = task, torch.nn
        pairs = [(nn.Linear(*pair), nn.ReLU()) for pair in task.row.linear]
        layers: list[Any] = [layer for pair in pairs for layer in pair][:-1]
        self._model = nn.Sequential(*layers).to(DEVICE)
        self._linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        self._x, self._y = (torch.from_numpy(a).to(DEVICE) for a in minibatch(task))
        foreach = mode == "foreach"
        self._adam = torch.optim.Adam(
            self._model.parameters(),
            lr=LEARNING_RATE,
            foreach=foreach,
            fused=not foreach,
            capturable=mode == "graph",
        )
        self._loss: Any = None
        self._reset()
        self._finish(mode)

    def _reset(self) -> None:
        first = named(self._task)
        with torch.no_grad():
            for name, param in self._named().items():
                param.copy_(torch.from_numpy(first[name]))

    def _named(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for i, layer in enumerate(self._linear):
            found |= {f"{i}.weight": layer.weight, f"{i}.bias": layer.bias}
        return found

    def _run(self) -> None:
        self._adam.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(self._model(self._x), self._y)
        loss.backward()
        self._adam.step()
        self._loss = loss.detach()

    def check(self) -> Iterator[Found]:
        """Loss and gradients of a step, twice."""
        use_precision(self._precision)
        for _ in range(2):
            self._reset()
            self._run()
            synchronize()
            grads: dict[str, Array] = {
                name: param.grad.cpu().numpy() for name, param in self._named().items()
            }
            yield {"loss": self._loss.cpu().numpy().reshape(1), **grads}
        self._reset()


def entrants(task: Task | SequenceTask, precision: str) -> list[tuple[str, Callable[[], Any]]]:
    """Modes that this device has, and what makes the side of each."""
    if isinstance(task, SequenceTask):
        modes = [
            ("eager", lambda: Passes(task, precision, "eager")),
            ("graph", lambda: Passes(task, precision, "graph")),
        ]
    else:
        modes = [
            ("fused", lambda: Steps(task, precision, "fused")),
            ("foreach", lambda: Steps(task, precision, "foreach")),
            ("graph", lambda: Steps(task, precision, "graph")),
        ]
    return modes if DEVICE == "cuda" else modes[:-1]
