"""Models as safetensors files: parameters, and a description in JSON. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastgrad.arena import Array
from fastgrad.batch_norm import BatchNorm
from fastgrad.containers import Chain, buffers_of, parameters_of
from fastgrad.custom import files
from fastgrad.embedding import Embedding, Flatten
from fastgrad.layer_norm import LayerNorm, RMSNorm
from fastgrad.layers import Activation, Dense, Layer
from fastgrad.model import Sequential
from fastgrad.parallel import Parallel
from fastgrad.recurrent import GRU, LSTM, RNN
from fastgrad.regularization import Dropout
from fastgrad.rescale import Rescale
from fastgrad.residual import Residual
from fastgrad.standardize import Standardize

_FORMAT = 1
_CONTAINERS = (Chain, Parallel, Residual)
_LEAVES = (Activation, BatchNorm, Dense, Dropout, Embedding, Flatten, LayerNorm, Rescale, RMSNorm)
_KINDS = (*_CONTAINERS, *_LEAVES, GRU, LSTM, RNN, Standardize)
TRAINING = "training."  # what tensors of a checkpoint are named that are not of the model
_KNOWN: dict[str, type[Layer]] = {kind.__name__: kind for kind in _KINDS}


def save(model: Sequential, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a model whole or not at all: to a temporary file beside it, synced, then renamed.

    Of a user's activation the file has the name and no code; see `load`.
    """
    if metadata is not None:
        if not isinstance(metadata, Mapping):
            raise TypeError(f"metadata must map str to str, got {metadata!r}")
        for key, value in metadata.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise TypeError(f"metadata must map str to str, got {key!r}: {value!r}")
        model.metadata = dict(metadata)
    write(Path(path), *packed(model))


def packed(model: Sequential) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors of a model's file, views of its arenas, and the file's metadata."""
    description = {
        "format": _FORMAT,
        "dtype": str(model.dtype),
        "layers": files.named([_described(layer) for layer in model.layers]),
        "metadata": model.metadata,
    }
    return {**model.params, **model.buffers}, {"fastgrad": json.dumps(description)}


def write(path: Path, tensors: Mapping[str, Array], metadata: dict[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    from safetensors.numpy import save as to_bytes

    # safetensors writes wrong values for arrays that are not C-contiguous (its issue 825)
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    write_atomically(path, to_bytes(contiguous, metadata))


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either the old or the new one is there, whole."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {str(path.parent)!r} to write {path.name!r} in"
        )
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's own mode would shut others out
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Have the new name outlive a loss of power, where folders can be synced."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(path: Path) -> None:
    """Remove what a process has left that was killed while it wrote this file."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")  # as mkstemp makes them
    for leftover in path.parent.iterdir():
        if name.fullmatch(leftover.name):
            leftover.unlink(missing_ok=True)


def load(
    path: str | Path,
    layers: Mapping[str, type[Layer]] | None = None,
    custom: Mapping[str, Any] | None = None,
) -> Sequential:
    """Read a model that `Sequential.save` wrote.

    Parameters
    ----------
    path : path
    layers : mapping of str to class, optional
        Layer classes of your own that the model uses, by class name; they are made again from
        what their `config` returned.
    custom : mapping of str to UserActivation, optional
        Activations of your own, by name: of these a file has the name and no code.

    Returns
    -------
    Sequential
        Its predictions equal those of the saved model bit for bit.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file that is damaged, truncated, or not a fastgrad model; the message says which.
    """
    path = Path(path)
    tensors, metadata = read(path)
    if "fastgrad" not in metadata:
        raise ValueError(f"{path} is a safetensors file, but not of a fastgrad model")
    own = {name: array for name, array in tensors.items() if not name.startswith(TRAINING)}
    try:
        description = json.loads(metadata["fastgrad"])
        entries = description["layers"]
    except (KeyError, RecursionError, TypeError, ValueError) as why:
        raise ValueError(f"{path} does not describe a fastgrad model: {why}") from None
    description["layers"] = files.restored(path, entries, custom)
    try:
        return _made(description, own, {**_KNOWN, **(layers or {})})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as why:
        raise ValueError(f"{path} does not describe a fastgrad model: {why}") from None


def read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; errors as those of `load`."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a whole safetensors file")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    # the last two for kinds of numbers that NumPy does not have
    except (SafetensorError, OSError, TypeError, AttributeError) as why:
        raise ValueError(f"{path} is not a whole safetensors file: {why}") from None


def _described(layer: Layer) -> dict[str, Any]:
    arguments = layer.config()
    if isinstance(layer, _CONTAINERS):
        arguments = {**arguments, "layers": [_described(inner) for inner in layer.layers]}
    return {"layer": type(layer).__name__, **arguments}


def _layer(entry: dict[str, Any], known: dict[str, type[Layer]]) -> Layer:
    name = entry["layer"]
    if name not in known:
        raise ValueError(f"layer class {name!r} is unknown; name it in load(..., layers=...)")
    arguments = {key: value for key, value in entry.items() if key != "layer"}
    if issubclass(known[name], _CONTAINERS):
        inner = [_layer(part, known) for part in arguments.pop("layers")]
        return known[name](*inner, **arguments)
    return known[name](**arguments)


def _made(
    description: dict[str, Any], tensors: dict[str, np.ndarray], known: dict[str, type[Layer]]
) -> Sequential:
    if description["format"] != _FORMAT:
        raise ValueError(f"its format is {description['format']}, this version reads {_FORMAT}")
    made = [_layer(entry, known) for entry in description["layers"]]
    # compared before any memory is asked for
    specs = {**parameters_of(made), **buffers_of(made)}
    needed = {name: tuple(shape) for name, (shape, _) in specs.items()}
    for name in sorted({*needed, *tensors}):
        shape = tensors[name].shape if name in tensors else None
        if shape != needed.get(name):
            raise ValueError(f"{name} has shape {shape}, its layers need {needed.get(name)}")
    model = Sequential(*made, rng=0, dtype=description["dtype"])
    for name, values in tensors.items():
        if values.dtype != model.dtype:
            raise ValueError(f"{name} has dtype {values.dtype}, the model {model.dtype}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite")
        (model.params if name in model.params else model.buffers)[name] = values
    model.metadata = {str(key): str(value) for key, value in description["metadata"].items()}
    return model
