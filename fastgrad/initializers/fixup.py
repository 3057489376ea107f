"""Initialization of residual stacks whose updates do not grow with their depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import checks
from fastgrad.initializers.functions import of_layer

if TYPE_CHECKING:
    from fastgrad.layers import Dense, Layer
    from fastgrad.model import Sequential
    from fastgrad.residual import Residual

Named = tuple[str, "Layer"]


def fixup(model: Sequential, rng: Any = None) -> dict[str, float]:
    """Fixup initialization: Zhang, Dauphin & Ma 2019, arXiv:1901.09321.

    With L blocks, of which one has m Dense layers, that block's first m - 1 are drawn anew by their
    own initializers (``weight_init``) and scaled by ``L^(-1 / (2 m - 2))``; its last one becomes 0,
    so that every block starts as the identity; and so does the classifier, the last Dense layer
    after the last block, where there is one. One step of gradient descent then changes the outputs
    by as much as in a shallow network, without normalization. What is before the blocks keeps its
    values.

    Of the paper's scalars, a learned scale (``Residual(..., learn_scale=True)``) is the multiplier
    of the branch and becomes 1. Scalar biases before every layer are not added: the biases of
    Dense layers, which become 0 in blocks, take their place.

    Parameters
    ----------
    model : Sequential
        Initialized in place. A block within a block counts as one more; its layers are not those of
        the outer one.
    rng : int or numpy.random.Generator
        Seed of what is drawn.

    Returns
    -------
    dict of str to float
        The factor of each Dense layer in a block, and of the classifier, by name.

    Raises
    ------
    TypeError, ValueError
        If `model` is no Sequential or has no Residual; if one has a Parallel in it; or would never
        learn: where it has no Dense layer or the constant scale 0, or where what follows its last
        Dense layer turns 0 into something else (sigmoid), has no slope there (relu), or normalizes.
        The model is then as it was; the message names the block.
    """
    from fastgrad.layers import Dense
    from fastgrad.model import Sequential

    if not isinstance(model, Sequential):
        raise TypeError(f"model must be a fastgrad.Sequential, got {model!r}")
    generator = checks.generator(rng)
    top = _dissolved(model.layers, "")
    blocks = list(_blocks(top))
    if not blocks:
        raise ValueError("model has no Residual; fixup is for residual stacks")
    factors: dict[str, float] = {}
    start: dict[str, Any] = {}

    def zero(name: str) -> None:
        factors[name] = 0.0
        for kind in ("weight", "bias"):
            if f"{name}.{kind}" in model.params:
                start[f"{name}.{kind}"] = np.zeros(model.params[f"{name}.{kind}"].shape)

    for name, block in blocks:
        dense = _branch(name, block)
        for layer_name, _ in dense:
            zero(layer_name)
        for layer_name, layer in dense[:-1]:
            factors[layer_name] = len(blocks) ** (-1 / (2 * len(dense) - 2))
            shape, init = layer.parameters()["weight"]
            drawn = np.asarray(init(shape, generator, model.dtype))
            start[f"{layer_name}.weight"] = factors[layer_name] * drawn
        if block.learn_scale:
            start[f"{name}.scale"] = np.ones(1)
    last_block = max(i for i, layer in enumerate(top) if any(_blocks([layer])))
    after = [i for i, (_, layer) in enumerate(top) if i > last_block and isinstance(layer, Dense)]
    if after:
        _see_slopes(f"the classifier, layer {top[after[-1]][0]},", top[after[-1] :])
        zero(top[after[-1]][0])
    for name, values in start.items():
        model.params[name] = values
    return factors


def _dissolved(layers: Sequence[Layer], prefix: str) -> list[Named]:
    """Layers and their names, those of chains in place of the chains."""
    from fastgrad.containers import Chain

    found: list[Named] = []
    for i, layer in enumerate(layers):
        name = f"{prefix}{i}"
        inner = _dissolved(layer.layers, f"{name}.") if isinstance(layer, Chain) else None
        found += [(name, layer)] if inner is None else inner
    return found


def _blocks(layers: Sequence[Named]) -> Iterator[tuple[str, Residual]]:
    """All residual blocks, at any depth."""
    from fastgrad.parallel import Parallel
    from fastgrad.residual import Residual

    for name, layer in layers:
        if isinstance(layer, Residual):
            yield name, layer
        if isinstance(layer, (Residual, Parallel)):
            yield from _blocks(_dissolved(layer.layers, f"{name}."))


def _branch(name: str, block: Residual) -> list[tuple[str, Dense]]:
    """The Dense layers of a block; ValueError unless it can start as the identity and learn."""
    from fastgrad.layers import Dense
    from fastgrad.parallel import Parallel

    layers = _dissolved(block.layers, f"{name}.")
    dense = [(name, layer) for name, layer in layers if isinstance(layer, Dense)]
    where = f"block {name}"
    if any(isinstance(layer, Parallel) for _, layer in layers):
        raise ValueError(f"{where} has a Parallel, of whose layers none is the last")
    if not dense:
        raise ValueError(f"{where} has no Dense layer of its own that could start at 0")
    if block.scale == 0 and not block.learn_scale:
        raise ValueError(f"{where} has the constant scale 0 and would never learn")
    tail = layers[[layer_name for layer_name, _ in layers].index(dense[-1][0]) :]
    _see_slopes(where, tail)
    _see_zeros(where, tail)
    return dense


def _see_slopes(where: str, tail: Sequence[Named]) -> None:
    """A layer of zeros learns by the slope at 0 of what follows."""
    from fastgrad.layers import Activation, Dense

    for name, layer in tail:
        if isinstance(layer, (Dense, Activation)):
            found = of_layer(layer)
            if found.slope(np.zeros((1, 1)), np.ones((1, 1)))[0] == 0:
                raise ValueError(
                    f"{where} would never learn: {found.name} in layer {name} has no slope at 0"
                )


def _see_zeros(where: str, tail: Sequence[Named]) -> None:
    """What follows a layer of zeros must keep them, and not divide by their deviation."""
    from fastgrad.batch_norm import BatchNorm
    from fastgrad.layer_norm import LayerNorm, RMSNorm
    from fastgrad.layers import Activation, Dense

    for name, layer in tail:
        if isinstance(layer, (BatchNorm, LayerNorm, RMSNorm)):
            raise ValueError(
                f"{where} would normalize zeros in layer {name}, {type(layer).__name__}; put it "
                "before the last Dense layer, or leave it out"
            )
        if isinstance(layer, (Dense, Activation)):
            found = of_layer(layer)
            if found.value(np.zeros(1)) != 0:
                raise ValueError(
                    f"{where} would not start as the identity: {found.name} in layer {name} is not "
                    "0 at 0"
                )
