"""`Facts`: what is known of a training run apart from measurements."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fastgrad import clipping, penalties
from fastgrad.arena import Array
from fastgrad.batch_norm import BatchNorm
from fastgrad.containers import Chain
from fastgrad.health.rules.data import InputFacts, expected_losses
from fastgrad.health.rules.layers import LayerFacts, WeightFacts, last_of, layers_of, weights_of
from fastgrad.layer_norm import LayerNorm
from fastgrad.layers import Layer
from fastgrad.parallel import Parallel
from fastgrad.standardize import Standardize

if TYPE_CHECKING:
    from fastgrad.train import Trainer


@dataclass(frozen=True)
class Facts:
    """What rules may know besides `Measurements`; all of it is taken before the first step.

    Attributes
    ----------
    layers : dict of str to LayerFacts
        By name, in the order in which they run.
    weights : dict of str to WeightFacts
        First values of the parameters of two or more axes.
    constant_loss : float
        The least loss that outputs can have which are the same for all rows: the entropy of the
        classes, the variance of real targets. NaN where no targets are known. Of rows that are not
        all of the data it is log C for C classes, and NaN for real targets.
    first_loss : float
        The loss of outputs that are 0: log C for C classes. NaN for rows that are not all of the
        data and whose real targets do not differ.
    target_std : float
        Of real targets; NaN for classes.
    logits : str or None
        Name of the layer that makes the outputs of which the loss takes the sigmoid or softmax;
        None where it takes outputs as they are, or no single layer makes them.
    inputs : InputFacts, optional
    normalized : bool
        Whether the model normalizes its inputs itself, or takes indices.
    rate : float
        The optimizer's learning rate.
    decay : float
        Fraction by which an update shrinks weights for each unit of the rate; of decoupled decay.
    coupled_decay : float
        What the optimizer multiplies weights with and adds to their gradient; no part of the loss.
    l1, l2 : dict of str to float
        Strengths of the penalties for each parameter.
    max_norm, max_tensor_norm, max_element : float
        The least limits that clips set to the norm of all gradients, to those of single tensors,
        and to elements; infinite without.
    at_each_step : bool
        Whether outputs are sequences, so that each time step has a loss of its own.
    batch_size, steps_per_epoch : int
    same_rows : bool
        Whether each step has all rows, and nothing is drawn at random.
    prediction : object, optional
        What theory expected: `gradient_norms`, by parameter, and so on.
    """

    layers: Mapping[str, LayerFacts] = field(default_factory=dict)
    weights: Mapping[str, WeightFacts] = field(default_factory=dict)
    constant_loss: float = math.nan
    first_loss: float = math.nan
    target_std: float = math.nan
    logits: str | None = None
    inputs: InputFacts | None = None
    normalized: bool = False
    rate: float = math.nan
    decay: float = 0.0
    coupled_decay: float = 0.0
    l1: Mapping[str, float] = field(default_factory=dict)
    l2: Mapping[str, float] = field(default_factory=dict)
    max_norm: float = math.inf
    max_tensor_norm: float = math.inf
    max_element: float = math.inf
    at_each_step: bool = False
    batch_size: int = 1
    steps_per_epoch: int = 1
    same_rows: bool = False
    prediction: Any = None

    @classmethod
    def of(
        cls,
        trainer: Trainer,
        X: Any = None,
        y: Any = None,
        lengths: Any = None,
        batch_size: int = 64,
        prediction: Any = None,
        *,
        total: int | None = None,
        cut: bool = False,
    ) -> Facts:
        """Those of a trainer that has not made a step, and of what it will train on.

        Parameters
        ----------
        trainer : Trainer
        X, y, lengths : array-like, optional
            As for `Trainer.epoch`; of many rows some are looked at.
        batch_size : int
        prediction : object, optional
        total : int, optional
            Rows of the data that X is of; by default X is all of them, 0 where nobody knows.
        cut : bool
            Whether a step has but a part of its sequences.
        """
        model = trainer.model
        layers = layers_of(model.layers)
        rows = None if X is None else np.asarray(X)
        steps = None if lengths is None else np.asarray(lengths)
        normalized = model.indices is not None or _normalizes(model.layers[0])
        known = None
        if rows is not None and not normalized:
            known = InputFacts.of(rows, steps)
        constant, zeros, std = math.nan, math.nan, math.nan
        if rows is not None and y is not None:
            constant, zeros, std = expected_losses(trainer, rows, np.asarray(y), steps)
        total = len(rows) if total is None and rows is not None else total or 0
        all_rows = rows is not None and total == len(rows)
        if not all_rows:
            # few rows may all be of one class, or have targets that are alike
            constant, zeros = (zeros, zeros) if math.isnan(std) else (math.nan, zeros)
            zeros = math.nan if std == 0 else zeros
        l1, l2, (coupled, decay) = _shrinking(trainer)
        return cls(
            layers=layers,
            weights=weights_of(model.params, layers),
            constant_loss=constant,
            first_loss=zeros,
            target_std=std,
            logits=last_of(model.layers) if trainer.loss.logits else None,
            inputs=known,
            normalized=normalized,
            rate=trainer.optimizer.lr,
            decay=decay,
            coupled_decay=coupled,
            l1=l1,
            l2=l2,
            at_each_step=rows is not None and len(model.output_shape(rows.shape)) > 2,
            batch_size=batch_size,
            steps_per_epoch=max(1, -(-total // batch_size)),
            same_rows=all_rows
            and total <= batch_size
            and not cut
            and not any(layer.dropout for layer in layers.values()),
            prediction=prediction,
            **_limits(trainer),
        )

    @cached_property
    def chain(self) -> list[LayerFacts]:
        """The layers in a row whose outputs all of the gradient passes: none within blocks."""
        return [layer for layer in self.layers.values() if not layer.aside]

    def is_aside(self, layer: str) -> bool:
        """Whether a layer is known to lie within a block."""
        return layer in self.layers and self.layers[layer].aside

    @cached_property
    def decades(self) -> tuple[float, float]:
        """Decades that first weights and slopes of sigmoids put on the way through the layers.

        Those of the weights are relative to what keeps the signal in size, the rest is the
        activation's: half the logarithm of chi (Schoenholz et al. 2017), split into two.
        """
        of_init = of_activation = 0.0
        if any(layer.normalizes for layer in self.chain):
            return of_init, of_activation
        for layer in [layer for layer in self.chain if layer.kind == "Dense"][1:]:
            known = self.weights.get(f"{layer.name}.weight")
            if known is not None and known.law > 0:
                of_init += 0.5 * math.log10(known.law)
        for layer in self.chain:
            if layer.activation == "sigmoid":
                of_activation += 0.5 * math.log10(layer.slope)
        return of_init, of_activation

    def penalty(self, tensors: tuple[str, ...], sizes: Array, norms: Array) -> Array:
        """(K,): the penalties' part of the loss, from norms of the weights (K, S).

        L1's is the least that it can be: that of a single element.
        """
        if not (self.l1 or self.l2):
            return np.zeros(len(norms))
        l1, l2 = self._strengths(tensors)
        return np.asarray(norms**2 @ l2 + norms @ l1)

    def penalty_gradients(self, tensors: tuple[str, ...], sizes: Array, norms: Array) -> Array:
        """(K, S): norms of the gradients of penalties and of coupled decay."""
        l1, l2 = self._strengths(tensors)
        return np.asarray((2 * l2 + self.coupled_decay) * norms + l1 * np.sqrt(sizes))

    def _strengths(self, tensors: tuple[str, ...]) -> tuple[Array, Array]:
        return tuple(
            np.array([known.get(name, 0.0) for name in tensors]) for known in (self.l1, self.l2)
        )  # type: ignore[return-value]


def _normalizes(layer: Layer) -> bool:
    """Whether a layer normalizes what it is given, before it does anything else with it."""
    if isinstance(layer, Chain):
        return _normalizes(layer.layers[0])
    if isinstance(layer, Parallel):
        return all(map(_normalizes, layer.layers))
    return isinstance(layer, (Standardize, BatchNorm, LayerNorm))


def _shrinking(trainer: Trainer) -> tuple[dict[str, float], dict[str, float], tuple[float, float]]:
    """What draws weights towards 0: strengths of L1 and L2, coupled decay and other."""
    params = trainer.model.params
    l1: dict[str, float] = {}
    l2: dict[str, float] = {}
    for penalty in trainer.regularizers:
        into = l1 if isinstance(penalty, penalties.L1) else l2
        for name, strength in penalty.strengths(params).items():
            into[name] = into.get(name, 0.0) + strength
    decay = float(getattr(trainer.optimizer, "weight_decay", 0.0))
    return l1, l2, (decay, 0.0) if trainer.optimizer.coupled_decay else (0.0, decay)


def _limits(trainer: Trainer) -> dict[str, float]:
    found = {"max_norm": math.inf, "max_tensor_norm": math.inf, "max_element": math.inf}
    for clip in trainer.clips:
        if isinstance(clip, clipping.ClipValue):
            name, limit = "max_element", clip.limit
        elif isinstance(clip, clipping.ClipNorm):
            name = "max_norm" if type(clip) is clipping.ClipNorm else "max_tensor_norm"
            limit = clip.max_norm
        else:
            continue
        found[name] = min(found[name], limit)
    return found
