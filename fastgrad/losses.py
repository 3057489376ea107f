"""Losses: each names its kernel and says what targets it takes.

Every loss is a mean over rows, weighted where `sample_weight` (and `class_weight`) are given:
``sum(w_i l_i) / sum(w_i)``, and l_i is itself the mean over a row's outputs. Of sequences each step
is such a row, with the weight of its sequence; steps behind the length of theirs weigh nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, overload

import numpy as np

from fastgrad import checks, configs
from fastgrad.arena import Array
from fastgrad.custom import LossFunction
from fastgrad.program import Tape


class Loss:
    """A loss on outputs and real targets of the same shape; the base of the others."""

    name = ""
    labels = False  # whether targets are class indices
    logits = False  # whether it takes the sigmoid or softmax of outputs itself

    def targets(self, y: Any, outputs: tuple[int, ...], dtype: Any) -> Array:
        """`y` as the kernel needs it, for outputs of shape (N, ..., O).

        A column of targets may leave out its last axis. Raises ValueError and TypeError for
        another shape, another kind of numbers, or values that are not finite.
        """
        found = checks.real_array("y", y)
        if outputs[-1] == 1 and found.shape == outputs[:-1]:
            found = found.reshape(outputs)
        found = checks.array("y", found, outputs, dtype)
        checks.finite("y", found)
        return found

    def record(
        self, tape: Tape, z: Array, target: Array, weight: Array | None, loss: Array
    ) -> Array:
        """Record the loss of outputs z; return the gradient with respect to z.

        `weight` is that of rows (N,) or, where z is (N, T, O), of steps (N, T); the latter must be
        0 where the tape's lengths say that there is padding.
        """
        dz = tape.empty(z.shape)
        features = z.shape[-1]
        flat = z.reshape(-1, features)
        rows = tape.empty((len(flat),), np.float64)
        target = target.reshape(-1) if self.labels else target.reshape(flat.shape)
        tape.call(
            *self._call(flat, target),
            *self._weights(_of_rows(tape, z, weight)),
            dz.reshape(flat.shape),
            rows,
            loss,
            tape.status,
        )
        return dz

    def _call(self, z: Array, target: Array) -> tuple[Any, ...]:
        return self.name, z, target

    def _weights(self, weight: Array | None) -> tuple[Any, ...]:
        return (weight,)

    def config(self) -> dict[str, Any]:
        """Name and arguments, as JSON can hold them; see `losses.from_config`."""
        return configs.described(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class MSE(Loss):
    """Mean squared error, ``mean((z - y)^2)``."""

    name = "mse"


class MAE(Loss):
    """Mean absolute error, ``mean(|z - y|)``; its gradient is 0 where z equals y."""

    name = "mae"


class Huber(Loss):
    """Huber's loss (1964): ``d^2 / 2`` up to `delta`, ``delta (|d| - delta / 2)`` beyond."""

    name = "huber"

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.number("delta", delta, 0, open_low=True)

    def _weights(self, weight: Array | None) -> tuple[Any, ...]:
        return weight, self.delta


class _CrossEntropy(Loss):
    """What cross entropies share: targets that may be smoothed."""

    logits = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = checks.number("label_smoothing", label_smoothing, 0, 1)

    def _weights(self, weight: Array | None) -> tuple[Any, ...]:
        return weight, self.label_smoothing


class BinaryCrossEntropy(_CrossEntropy):
    """Cross entropy of sigmoid(z) and targets in [0, 1]; z are logits.

    Parameters
    ----------
    label_smoothing : float in [0, 1]
        A target t counts as ``(1 - label_smoothing) t + label_smoothing / 2``, as in Keras.
    """

    name = "binary_cross_entropy"

    def targets(self, y: Any, outputs: tuple[int, ...], dtype: Any) -> Array:
        """As `Loss.targets`, all within [0, 1]."""
        found = super().targets(y, outputs, dtype)
        if found.min() < 0 or found.max() > 1:
            raise ValueError(f"y must lie in [0, 1], got {found.min():g} to {found.max():g}")
        return found


class CrossEntropy(_CrossEntropy):
    """Cross entropy of softmax(z) and integer classes (N,); z are logits (N, C).

    Parameters
    ----------
    class_weight : array-like (C,), optional
        Weight of a row of each class, as in PyTorch: the mean is divided by the sum of weights.
    label_smoothing : float in [0, 1]
        The target is ``1 - label_smoothing + label_smoothing / C`` for the row's class and
        ``label_smoothing / C`` for the others (Szegedy et al. 2016). With `class_weight` each of
        these terms has the weight of its own class, as in PyTorch.

    Notes
    -----
    `Trainer.evaluate` and validation smooth the labels, too: they report the same loss.
    """

    name = "cross_entropy"
    labels = True

    def __init__(self, class_weight: Any = None, label_smoothing: float = 0.0) -> None:
        super().__init__(label_smoothing)
        self.class_weight = None
        if class_weight is not None:
            self.class_weight = checks.weights("class_weight", class_weight, None, np.float64)

    def targets(self, y: Any, outputs: tuple[int, ...], dtype: Any) -> Array:
        """Class indices in [0, C), as int64."""
        found = checks.real_array("y", y)
        classes = outputs[-1]
        if found.shape != outputs[:-1]:
            raise ValueError(f"y has shape {found.shape}, needs {outputs[:-1]} or {outputs}")
        if found.dtype.kind not in "iu":
            whole = found.dtype.kind == "f" and (found == np.trunc(found)).all()
            hint = "; y.astype(int) makes integers of these" if whole else ""
            raise TypeError(f"y must hold integer classes, got dtype {found.dtype}{hint}")
        low, high = int(found.min()), int(found.max())
        if low < 0 or high >= classes:
            raise ValueError(f"y must lie in [0, {classes}), got {low} to {high}")
        if self.class_weight is not None and len(self.class_weight) != classes:
            raise ValueError(
                f"class_weight has {len(self.class_weight)} values, needs {classes}, one a class"
            )
        return np.ascontiguousarray(found, np.int64)

    def record(
        self, tape: Tape, z: Array, target: Array, weight: Array | None, loss: Array
    ) -> Array:
        """Record the loss of logits z; return softmax minus target, weighted."""
        self._class_weight = (
            None if self.class_weight is None else self.class_weight.astype(tape.dtype)
        )
        return super().record(tape, z, target, weight, loss)

    def _call(self, z: Array, target: Array) -> tuple[Any, ...]:
        return self.name, z, target, self._class_weight


class SoftCrossEntropy(_CrossEntropy):
    """Cross entropy of softmax(z) and one-hot or soft targets, (N, C) both.

    Parameters
    ----------
    label_smoothing : float in [0, 1]
        A target t counts as ``(1 - label_smoothing) t + label_smoothing / C``, as in PyTorch.
    """

    name = "soft_cross_entropy"

    def targets(self, y: Any, outputs: tuple[int, ...], dtype: Any) -> Array:
        """As `Loss.targets`, none negative."""
        found = super().targets(y, outputs, dtype)
        if found.min() < 0:
            raise ValueError(f"y must not be negative, got {found.min():g}")
        return found


class UserLoss(Loss):
    """A loss of a user's own formula for an output and its target; `loss` makes it.

    Parameters
    ----------
    formula : LossFunction
    """

    name = "elementwise_loss"

    def __init__(self, formula: LossFunction) -> None:
        self.formula = formula
        self.__module__ = formula.__module__  # where pickle looks for it

    def __call__(self, z: Any, target: Any) -> float:
        """The formula, for two numbers."""
        return float(self.formula.at(float(z), float(target))[0])

    def _weights(self, weight: Array | None) -> tuple[Any, ...]:
        return weight, self.formula

    def __reduce__(self) -> str:
        """It is found by its name, as functions are."""
        return self.formula.__qualname__

    def __repr__(self) -> str:
        return f"<loss {self.formula.name}>"


@overload
def loss(function: Callable[..., Any], *, derivative: Any = None) -> UserLoss: ...
@overload
def loss(
    function: None = None, *, derivative: Any = None
) -> Callable[[Callable[..., Any]], UserLoss]: ...
def loss(function: Any = None, *, derivative: Any = None) -> Any:
    """Make a loss of a function of an output and its target.

    The loss of a row is the mean of ``f(z, target)`` over its outputs, that of a minibatch the mean
    over rows, weighted as that of any other loss. What is said of `fastgrad.activation` holds here,
    too; the function is tried out with targets in [0, 1].

    Parameters
    ----------
    function : callable
        ``f(z, target)``, from two numbers to a number; others it takes must have a default.
    derivative : callable, optional
        df/dz, of the same arguments, instead of that of the code.

    Returns
    -------
    UserLoss
        For `fit`, `Trainer` and what else takes a loss.

    Raises
    ------
    TypeError, ValueError
        As `fastgrad.activation`.

    Examples
    --------
    >>> import math
    >>> import fastgrad as fg
    >>> @fg.loss
    ... def log_cosh(z, target):
    ...     d = abs(z - target)
    ...     return d + math.log1p(math.exp(-2 * d)) - math.log(2)
    >>> trainer = fg.Trainer(fg.Sequential(fg.Dense(4, 1), rng=0), loss=log_cosh)
    """
    if function is None:
        return lambda later: UserLoss(LossFunction(later, derivative))
    return UserLoss(LossFunction(function, derivative))


def _of_rows(tape: Tape, z: Array, weight: Array | None) -> Array | None:
    """The weight of each row of z laid flat."""
    if z.ndim == 2 or (weight is None and tape.lengths is None):
        return weight
    if weight is not None and weight.ndim > 1:
        return weight.reshape(-1)
    steps = tape.empty(z.shape[:2])
    tape.call("sequence_weights", tape.lengths, weight, steps)
    return steps.reshape(-1)


_BY_NAME = {
    loss.name: loss
    for loss in (MSE, MAE, Huber, BinaryCrossEntropy, CrossEntropy, SoftCrossEntropy)
}


def get(loss: Any) -> Loss:
    """The loss of that name ("mse", "mae", "huber", "cross_entropy", ...), or the loss itself."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in _BY_NAME:
        hint = " (fastgrad.loss makes one of a function)" if callable(loss) else ""
        raise ValueError(
            f"loss: expected one of {', '.join(_BY_NAME)} or a Loss, got {loss!r}{hint}"
        )
    return _BY_NAME[loss]()


def from_config(config: Mapping[str, Any]) -> Loss:
    """Make the loss that `Loss.config` described."""
    kinds: tuple[type[Loss], ...] = (*_BY_NAME.values(), UserLoss)
    return configs.rebuilt("loss", {kind.__name__: kind for kind in kinds}, config)


def for_targets(loss: Loss, y: Any, outputs: tuple[int, ...]) -> Loss:
    """`loss`, or its twin for one-hot targets where cross entropy is given some."""
    if type(loss) is CrossEntropy and checks.real_array("y", y).shape == outputs:
        if loss.class_weight is not None:
            raise ValueError("class_weight needs integer classes; put the weights into the targets")
        return SoftCrossEntropy(loss.label_smoothing)
    return loss
