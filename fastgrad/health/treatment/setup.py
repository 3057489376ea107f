"""`Setup`: all of a training run that a cure may change; and how layers are made again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from fastgrad.clipping import Clip
from fastgrad.containers import Chain, named_layers
from fastgrad.layers import Layer
from fastgrad.model import Sequential
from fastgrad.optimizers import Optimizer
from fastgrad.penalties import Penalty
from fastgrad.residual import Residual

_INITIALIZERS = ("weight_init", "recurrent_init", "bias_init")

Parts: TypeAlias = "Sequence[tuple[Layer, bool]]"
Change: TypeAlias = "Callable[[str, Layer], Parts | None]"
"""What takes a layer's place, by its name: layers, and whether each has the parameters of the old
one where they fit; None leaves it as it is."""


@dataclass(frozen=True)
class Setup:
    """A model that is not trained, and what it is to be trained with.

    Attributes
    ----------
    model : Sequential
        Trials train copies of it.
    optimizer : Optimizer
    clip : tuple of Clip
    regularizers : tuple of Penalty
    """

    model: Sequential
    optimizer: Optimizer
    clip: tuple[Clip, ...] = ()
    regularizers: tuple[Penalty, ...] = ()

    def with_optimizer(self, **changes: float) -> Setup:
        """With other settings of the optimizer."""
        optimizer = copy.deepcopy(self.optimizer)
        for name, value in changes.items():
            setattr(optimizer, name, value)
        return replace(self, optimizer=optimizer)

    def with_layers(self, change: Change, seed: int) -> Setup:
        """With other layers in the place of some; what is new in them is drawn from the seed."""
        layers, origins = _changed(self.model.layers, change)
        return self.with_model(layers, origins, seed)

    def with_model(self, layers: Sequence[Layer], origins: dict[str, str], seed: int) -> Setup:
        """With these layers, and parameters of the old model where they have the same shape.

        Parameters
        ----------
        layers : sequence of Layer
        origins : dict of str to str
            Names of new layers, and those of the old ones that they have parameters of.
        seed : int
        """
        old = self.model
        model = Sequential(*layers, rng=seed, dtype=old.dtype)
        given = {**old.params, **old.buffers}
        for name, view in {**model.params, **model.buffers}.items():
            source = given.get(_origin(name, origins) or "")
            if source is not None and source.shape == view.shape:
                view[...] = source
        model.metadata = dict(old.metadata)
        regularizers = tuple(_renamed(penalty, origins) for penalty in self.regularizers)
        return replace(self, model=model, regularizers=regularizers)

    @property
    def named(self) -> dict[str, Layer]:
        """All layers by name, those within others included."""
        return named_layers(self.model.layers)

    @property
    def foreign(self) -> bool:
        """Whether some layer is the user's own, so that nobody knows what may stand beside it."""
        return any(is_foreign(one) for one in self.named.values())


def is_foreign(layer: Layer) -> bool:
    """Whether a layer is the user's own."""
    return not type(layer).__module__.startswith("fastgrad.")


def remade(layer: Layer, **changes: Any) -> Any:
    """The same layer with other arguments, and the initializers that it has unless others are
    given."""
    own = {name: getattr(layer, name) for name in _INITIALIZERS if hasattr(layer, name)}
    given = {**layer.config(), **own, **changes}
    if not given.get("bias", True):
        given.pop("bias_init", None)  # recurrent layers take none where it is for nothing
    if given.get("bias_init") is not None:
        given.pop("forget_bias", None)  # which is in it
    return type(layer)(**given)


def _changed(
    layers: Sequence[Layer], change: Change, old: str = "", new: str = ""
) -> tuple[list[Layer], dict[str, str]]:
    """Layers after a change, and names of those that keep parameters, with the names before."""
    made: list[Layer] = []
    origins: dict[str, str] = {}
    for i, layer in enumerate(layers):
        name, place = f"{old}{i}", f"{new}{len(made)}"
        parts = None if is_foreign(layer) else change(name, layer)
        if parts is None and isinstance(layer, (Residual, Chain)):
            inner, known = _changed(layer.layers, change, f"{name}.", f"{place}.")
            options = {key: value for key, value in layer.config().items() if key != "layers"}
            parts = [(type(layer)(*inner, **options), True)]
            origins |= known
        for part, keeps in [(layer, True)] if parts is None else parts:
            if keeps:
                origins[f"{new}{len(made)}"] = name
            made.append(part)
    return made, origins


def _renamed(penalty: Penalty, origins: dict[str, str]) -> Penalty:
    """With strengths for the new names of layers and parameters."""
    given = penalty.per_layer
    if not given:
        return penalty
    places = {old: new for new, old in origins.items()}
    found = {}
    for name, strength in given.items():
        known = places.get(name) or _origin(name, places)
        if known is not None:
            found[known] = strength
    return type(penalty)(penalty.strength, found)


def _origin(name: str, origins: dict[str, str]) -> str | None:
    """The old name of a parameter, by the longest name of a layer that it starts with."""
    layer = name
    while "." in layer:
        layer = layer.rpartition(".")[0]
        if layer in origins:
            return origins[layer] + name[len(layer) :]
    return None
