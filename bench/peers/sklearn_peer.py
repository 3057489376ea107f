"""scikit-learn: one ``partial_fit`` of an MLP per epoch, its checks of the input switched off.

It shuffles and gathers by itself. Its squared loss is half the mean over samples of the mean
over outputs, and its gradient lacks the mean over outputs; Adam cancels the constant.
"""

import warnings
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from .rows import CHECKED_STEPS, LEARNING_RATE, Task

MODES = ("partial_fit",)


def start(threads: int) -> dict[str, str]:
    """Set the thread count; say what is running."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
    warnings.simplefilter("ignore", ConvergenceWarning)
    return {"scikit-learn": sklearn.__version__, "numpy": np.__version__}


class Side:
    """One row.

    Parameters
    ----------
    task : Task
    mode : str
        There is only one.
    """

    def __init__(self, task: Task, mode: str) -> None:
        if task.row.blocks:
            raise NotImplementedError("scikit-learn has no residual blocks")
        self._task = task
        kind = MLPRegressor if task.row.loss == "mse" else MLPClassifier
        self._model: Any = kind(
            hidden_layer_sizes=task.row.widths[1:-1],
            activation="relu",
            solver="adam",
            alpha=0.0,
            batch_size=task.row.batch,
            learning_rate_init=LEARNING_RATE,
            random_state=0,
        )
        # The first call makes the arrays; dropping the optimizer then makes Adam start afresh.
        x, y = task.minibatch(0)
        extra = {} if task.row.loss == "mse" else {"classes": np.arange(task.row.widths[-1])}
        self._model.partial_fit(x, y, **extra)
        del self._model._optimizer
        self.reset()

    def check(self) -> float:
        """Loss of minibatch 0 after the checked steps."""
        self._model.set_params(shuffle=False)
        for number in (*range(CHECKED_STEPS), 0):
            self._model.partial_fit(*self._task.minibatch(number))
        self._model.set_params(shuffle=True)
        return float(self._model.loss_) * (2 if self._task.row.loss == "mse" else 1)

    def reset(self) -> None:
        """Put the first parameters back."""
        for mine, first in zip(self._model.coefs_, self._task.weights, strict=True):
            mine[...] = first.T
        for mine, first in zip(self._model.intercepts_, self._task.biases, strict=True):
            mine[...] = first

    def epochs(self, count: int) -> None:
        """Train `count` epochs, each in a shuffled order."""
        for _ in range(count):
            self._model.partial_fit(self._task.x, self._task.y)
