"""Layers of others that record kernels: what they do with memory, threads must not mind."""

from __future__ import annotations

from nets import bits

import fastgrad as fg

ROUNDS = 60


class Gram(fg.Layer):
    """``k = tanh(x w')``, ``y = x k'``: the second layer's weight is what all threads wrote."""

    def parameters(self):
        return {"weight": ((64, 64), fg.initializers.normal(0.1))}

    def output_features(self, inputs):
        return 256

    def record(self, tape, x, params, grads, train):
        k, y = tape.empty((256, 64)), tape.empty((256, 256))
        weight = params["weight"]
        tape.call("dense_forward", x, weight, None, "tanh", 0.0, k, None)
        tape.call("dense_forward", x, k, None, "identity", 0.0, y, None)

        def backward(dy, input_grad):
            dx, dk, own = tape.empty(x.shape), tape.empty(k.shape), grads["weight"]
            rest = "identity", 0.0, dy, dx, dk, None, tape.status
            tape.call("dense_backward", x, k, y, None, *rest)
            rest = "tanh", 0.0, dk, dx, own, None, tape.status
            tape.call("dense_backward", x, weight, k, None, *rest)
            return dx

        return y, backward


class Block(fg.Layer):
    """Two dense layers that give the memory between them back at once: no backward pass follows."""

    def __init__(self, hidden):
        self.hidden = hidden

    def parameters(self):
        small = fg.initializers.normal(0.1)
        return {"a": ((self.hidden, 64), small), "b": ((64, self.hidden), small)}

    def record(self, tape, x, params, grads, train):
        hidden, y = tape.empty((len(x), self.hidden)), tape.empty(x.shape)
        tape.call("dense_forward", x, params["a"], None, "tanh", 0.0, hidden, None)
        tape.call("dense_forward", hidden, params["b"], None, "tanh", 0.0, y, None)
        tape.release(hidden)
        return y, None


def test_what_all_threads_wrote_is_read_whole(threads, rng):
    models = [fg.Sequential(Gram(), rng=0) for _ in range(2)]
    for _ in range(ROUNDS):
        x = rng.standard_normal((256, 64))
        found = []
        for count, model in enumerate(models, 1):
            threads(count)
            y = model.forward(x)
            found.append(bits(y, model.backward(y), model.flat_grads))
        assert found[0] == found[1]


def test_memory_is_given_back_within_a_pass(threads, rng):
    layers = [[*map(Block, (60, 60, 61, 50)), fg.Dense(64, 30, "tanh")] for _ in range(2)]
    models = [fg.Sequential(*five, rng=0) for five in layers]
    for _ in range(ROUNDS):
        x = rng.standard_normal((512, 64))
        found = []
        for count, model in enumerate(models, 1):
            threads(count)
            found.append(bits(model.predict(x)))
        assert found[0] == found[1]
