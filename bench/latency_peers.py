"""PyTorch and onnxruntime for `bench.latency`: each yields names of ways and what runs them.

A way goes through the steps of a task from a state of zeros, in one call or in one call for each
step, and returns a list of outputs.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from bench.peers.sequences import Array, SequenceTask

Ways = Iterator[tuple[str, Callable[[], list[Any]]]]

# where PyTorch's gates stand in the weights of ONNX: i o f c, and z r h
ONNX_GATES = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2]}
VERSION = {"opset": 17, "ir": 8}


def _traced(module: Any, given: Any) -> Any:
    """A module as TorchScript, its parameters frozen."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of all of torch.jit
        return torch.jit.freeze(torch.jit.trace(module.eval(), given))


def of_torch(task: SequenceTask, one_by_one: bool) -> Ways:
    """``nn.LSTM`` and, step by step, ``nn.LSTMCell`` too (or those of GRU), eager and traced.

    Each way is run under ``no_grad`` and under ``inference_mode``.
    """
    import torch

    torch.set_num_threads(1)
    row = task.row
    values = {name: torch.from_numpy(value) for name, value in task.params.items()}
    layer = getattr(torch.nn, row.cell)(row.inputs, row.hidden, batch_first=True)
    layer.load_state_dict(values)
    cell = getattr(torch.nn, f"{row.cell}Cell")(row.inputs, row.hidden)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in values.items()})
    x = torch.from_numpy(task.x)
    parts, rows = x.split(1, dim=1) if one_by_one else (x,), x[0].split(1)
    zeros = torch.zeros(1, 1, row.hidden)
    pair = row.cell == "LSTM"
    start = (zeros, zeros) if pair else zeros
    start_of_cell = (zeros[0], zeros[0]) if pair else zeros[0]

    def of_layer(module: Any) -> list[Any]:
        state, outputs = start, []
        for part in parts:
            y, state = module(part, state)
            outputs.append(y)
        return outputs

    def of_cell(module: Any) -> list[Any]:
        state, outputs = start_of_cell, []
        for part in rows:
            state = module(part, state)
            outputs.append(state[0] if pair else state)
        return outputs

    kinds = [(f"nn.{row.cell}", of_layer, layer, (parts[0], start))]
    if one_by_one:
        kinds.append((f"nn.{row.cell}Cell", of_cell, cell, (rows[0], start_of_cell)))
    for mode in (torch.no_grad, torch.inference_mode):
        for name, through, module, given in kinds:
            with mode():
                traced = _traced(module, given)
            for how, of in (("eager", module), ("traced", traced)):
                yield f"{name}, {how}, {mode.__name__}", mode()(partial(through, of))


def _onnx_model(task: SequenceTask) -> bytes:
    """A graph of one node that takes the first state and returns the last one."""
    from onnx import TensorProto, helper, numpy_helper

    row = task.row
    states = ["h", "c"] if row.cell == "LSTM" else ["h"]

    def reordered(name: str) -> Array:
        gates = task.params[name].reshape(len(ONNX_GATES[row.cell]), row.hidden, -1)
        return gates[ONNX_GATES[row.cell]].reshape(task.params[name].shape)

    biases = np.concatenate([reordered("bias_ih_l0"), reordered("bias_hh_l0")])
    weights = {"W": reordered("weight_ih_l0"), "R": reordered("weight_hh_l0"), "B": biases}
    extra = {"linear_before_reset": 1} if row.cell == "GRU" else {}
    node = helper.make_node(
        row.cell,
        ["x", "W", "R", "B", "", *(f"{name}0" for name in states)],
        ["y", *states],
        hidden_size=row.hidden,
        **extra,
    )

    def tensors(shapes: dict[str, list[Any]]) -> list[Any]:
        real = TensorProto.FLOAT
        return [helper.make_tensor_value_info(name, real, shape) for name, shape in shapes.items()]

    state = [1, 1, row.hidden]
    graph = helper.make_graph(
        [node],
        row.cell,
        tensors({"x": ["T", 1, row.inputs], **{f"{name}0": state for name in states}}),
        tensors({"y": ["T", 1, 1, row.hidden], **dict.fromkeys(states, state)}),
        [numpy_helper.from_array(value[None], name) for name, value in weights.items()],
    )
    opset = [helper.make_opsetid("", VERSION["opset"])]
    model = helper.make_model(graph, opset_imports=opset, ir_version=VERSION["ir"])
    return bytes(model.SerializeToString())


def of_onnxruntime(task: SequenceTask, one_by_one: bool) -> Ways:
    """``InferenceSession.run``, and step by step with memory bound beforehand, too."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        _onnx_model(task), options, providers=["CPUExecutionProvider"]
    )
    states = ["h", "c"] if task.row.cell == "LSTM" else ["h"]
    zeros = np.zeros((1, 1, task.row.hidden), np.float32)
    x = np.ascontiguousarray(task.x.swapaxes(0, 1))
    parts = np.split(x, len(x)) if one_by_one else [x]

    def run() -> list[Any]:
        given = {f"{name}0": zeros for name in states}
        outputs = []
        for part in parts:
            y, *last = session.run(["y", *states], {"x": part, **given})
            given = {f"{name}0": value for name, value in zip(states, last, strict=True)}
            outputs.append(y)
        return outputs

    yield "run", run
    if not one_by_one:
        return

    x_now, y_now = parts[0].copy(), zeros[None].copy()
    # two states take turns: a step reads one and writes the other
    memory = [{name: zeros.copy() for name in states} for _ in range(2)]
    bindings = []
    for now, then in (memory, memory[::-1]):
        binding = session.io_binding()
        for name, array in {"x": x_now, **{f"{n}0": now[n] for n in states}}.items():
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for name, array in {"y": y_now, **then}.items():
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        bindings.append(binding)

    def bound() -> list[Any]:
        for array in memory[0].values():
            array[...] = 0
        outputs = []
        for t, part in enumerate(parts):
            x_now[...] = part
            session.run_with_iobinding(bindings[t % 2])
            outputs.append(y_now.copy())
        return outputs

    yield "run_with_iobinding", bound
