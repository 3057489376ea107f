"""How far predicted gradients are from measured ones: ``python -m bench.prediction``.

For each combination of activation, initializer and depth some networks are drawn, 128 wide, in
float64. Each is given a minibatch of standard normal rows and, at its 10 outputs, a gradient of
normal numbers with norm 1 over the whole minibatch; what is compared is the norm of the gradient of
the first layer's weight with the one that `fastgrad.health.predict` gives from the same rows and
weights, in decades: ``|log10(measured / predicted)|``, the median over the networks.

With ``--layers`` it does the same for normalizations, dropout, residuals, and recurrent layers.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import fastgrad as fg
from bench import prediction_layers

WIDTH, OUTPUTS, BATCH = 128, 10, 64
TARGET = 0.15  # decades
ACTIVATIONS = "relu", "tanh", "sigmoid", "gelu", "selu"
DEPTHS = 5, 20, 50
_init = fg.initializers
_BOUND = 1 / math.sqrt(WIDTH)
INITIALIZERS = {  # of weights and biases
    "torch": (_init.torch_default(), _init.uniform(-_BOUND, _BOUND)),
    "xavier": (_init.xavier_uniform(), _init.zeros()),
    "he": (_init.he_normal(), _init.zeros()),
    "lecun": (_init.lecun_normal(), _init.zeros()),
    "orthogonal": (_init.orthogonal(), _init.zeros()),
}


@dataclass(frozen=True)
class Case:
    """Networks that differ by their seeds alone."""

    activation: str
    initializer: str
    depth: int

    def model(self, seed: int) -> fg.Sequential:
        """One of them, of so many weights."""
        weight, bias = INITIALIZERS[self.initializer]
        how = {"weight_init": weight, "bias_init": bias}
        hidden = [fg.Dense(WIDTH, WIDTH, self.activation, **how) for _ in range(self.depth - 1)]
        last = fg.Dense(WIDTH, OUTPUTS, **how)
        return fg.Sequential(*hidden, last, rng=seed, dtype="float64")

    def errors(self, nets: int, data: bool = True) -> tuple[np.ndarray, float, float]:
        """log10(measured / predicted) of each network; last prediction and its deviation, as log10.

        Without `data` the prediction knows the weights only.
        """
        found = []
        for seed in range(nets):
            rng = np.random.default_rng([seed, 1])
            model, x = self.model(seed), rng.standard_normal((BATCH, WIDTH))
            prediction = fg.health.predict(model, x if data else None)
            gradient = rng.standard_normal(model.forward(x).shape)
            model.backward(gradient / np.linalg.norm(gradient), input_grad=False)
            measured = float(np.linalg.norm(model.grads["0.weight"]))
            predicted = prediction.gradient_norms["0.weight"]
            found.append(math.log10(measured) - math.log10(predicted))
        return np.array(found), math.log10(predicted), prediction.spread["0.weight"]


def cases() -> Iterator[Case]:
    """All combinations."""
    for activation in ACTIVATIONS:
        for initializer in INITIALIZERS:
            for depth in DEPTHS:
                yield Case(activation, initializer, depth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=20)
    parser.add_argument("--activation", choices=ACTIVATIONS)
    parser.add_argument("--without-data", action="store_true", help="predict from weights alone")
    parser.add_argument("--layers", action="store_true", help="layers of all kinds")
    given = parser.parse_args()
    if given.layers:
        prediction_layers.report(given.nets, TARGET)
        return
    print(f"{given.nets} nets each; decades off in the median, target {TARGET}")
    print(f"{'activation':11}{'initializer':12}{'depth':>5} {'log10 |g|':>10}", end="")
    print(f"{'error':>8}{'bias':>8}{'deviation':>11}{'expected':>10}")
    missed = 0
    for case in cases():
        if given.activation not in (None, case.activation):
            continue
        errors, predicted, spread = case.errors(given.nets, not given.without_data)
        error = float(np.median(np.abs(errors)))
        missed += error > TARGET
        print(f"{case.activation:11}{case.initializer:12}{case.depth:5} {predicted:10.2f}", end="")
        print(f"{error:8.3f}{np.median(errors):+8.3f}{errors.std():11.3f}{spread:10.3f}", end="")
        print("  above the target" if error > TARGET else "", flush=True)
    print(f"{missed} above the target of {TARGET}")


if __name__ == "__main__":
    main()
