"""Recurrent rows in PyTorch: ``nn.LSTM``, ``nn.GRU`` and ``nn.RNN``, eager.

Modes: ``time-first`` and ``batch-first`` are the two layouts of x, y and dy, each given as one
contiguous tensor. ``torch.compile`` leaves recurrent layers as they are, so that it is no mode.
"""

import torch

from .sequences import Array, Passes, SequenceTask

MODES = ("time-first", "batch-first")


def side(task: SequenceTask, mode: str) -> Passes:
    """Make the passes of a row in one of ``MODES``."""
    layer = getattr(torch.nn, task.row.cell)(
        task.row.inputs, task.row.hidden, batch_first=mode == "batch-first"
    )
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in task.params.items()})
    x, dy = torch.from_numpy(task.x), torch.from_numpy(task.dy)
    if mode == "time-first":
        x, dy = x.transpose(0, 1).contiguous(), dy.transpose(0, 1).contiguous()
    params = dict(layer.named_parameters())
    grads: dict[str, torch.Tensor] = {}

    def run(count: int) -> None:
        for _ in range(count):
            found = torch.autograd.grad(layer(x)[0], list(params.values()), dy)
            grads.update(zip(params, found, strict=True))

    def gradients() -> dict[str, Array]:
        return {name: grad.numpy() for name, grad in grads.items()}

    return Passes(task, run, gradients)
