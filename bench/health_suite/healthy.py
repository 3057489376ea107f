"""Runs with nothing wrong in them."""

from __future__ import annotations

import numpy as np

import fastgrad as fg
from bench.health_suite.case import Case, mlp, recurrent, residual, wide
from bench.health_suite.tasks import letters

LETTERS = letters()


def text_mlp(width: int, depth: int, activation: str, **options: object) -> object:
    """A table of 16 numbers for each letter, eight of them, and dense layers."""
    first = [lambda: fg.Embedding(LETTERS, 16, weight_init=fg.initializers.normal(0.3)),
             lambda: fg.Flatten(8, 16)]  # fmt: skip
    return mlp(wide(128, width, depth, LETTERS), activation, first=first, **options)  # type: ignore[arg-type]


ADAM, FAST = fg.Adam(1e-3), fg.Adam(5e-3)
INIT = fg.initializers

HEALTHY = [
    Case("digits-relu-1x32", "digits", mlp(wide(64, 32, 1, 10), "relu"), fg.Adam(3e-3), 0.85),
    Case("digits-relu-2x64", "digits", mlp(wide(64, 64, 2, 10), "relu"), ADAM, 0.85),
    Case("digits-relu-2x256", "digits", mlp(wide(64, 256, 2, 10), "relu"), ADAM, 0.88),
    Case("digits-relu-3x100-sgd", "digits", mlp(wide(64, 100, 3, 10), "relu"),
         fg.SGD(0.1), 0.85),
    Case("digits-relu-5x64-momentum", "digits", mlp(wide(64, 64, 5, 10), "relu"),
         fg.SGD(0.02, momentum=0.9), 0.85),
    Case("digits-relu-10x64", "digits", mlp(wide(64, 64, 10, 10), "relu"), ADAM, 0.8),
    Case("digits-relu-20x64", "digits", mlp(wide(64, 64, 20, 10), "relu"), ADAM, 0.75),
    Case("digits-relu-3x64-norm", "digits", mlp(wide(64, 64, 3, 10), "relu", norm=True),
         ADAM, 0.85),
    Case("digits-relu-8x64-norm", "digits", mlp(wide(64, 64, 8, 10), "relu", norm=True),
         ADAM, 0.8),
    Case("digits-sigmoid-3x100-norm", "digits", mlp(wide(64, 100, 3, 10), "sigmoid", norm=True),
         FAST, 0.85),
    Case("digits-tanh-2x64", "digits", mlp(wide(64, 64, 2, 10), "tanh"), ADAM, 0.85),
    Case("digits-tanh-10x64", "digits", mlp(wide(64, 64, 10, 10), "tanh"), ADAM, 0.85),
    Case("digits-tanh-20x100", "digits", mlp(wide(64, 100, 20, 10), "tanh"), ADAM, 0.85),
    Case("digits-sigmoid-1x64", "digits", mlp(wide(64, 64, 1, 10), "sigmoid"), FAST, 0.85),
    Case("digits-sigmoid-2x64", "digits", mlp(wide(64, 64, 2, 10), "sigmoid"), FAST, 0.85),
    Case("digits-sigmoid-3x64", "digits", mlp(wide(64, 64, 3, 10), "sigmoid"), fg.Adam(1e-2),
         0.8, epochs=12),
    Case("digits-relu-2x512-fast", "digits", mlp(wide(64, 512, 2, 10), "relu"), fg.Adam(1e-2),
         0.85),
    Case("digits-relu-30x96", "digits", mlp(wide(64, 96, 30, 10), "relu"), fg.Adam(5e-4), 0.7),
    Case("digits-relu-standardize", "digits",
         mlp(wide(64, 64, 2, 10), "relu", first=[lambda: fg.Standardize(64)]), ADAM, 0.85,
         x=lambda x: x * np.float32(255)),
    Case("digits-selu-8x64", "digits", mlp(wide(64, 64, 8, 10), "selu"), ADAM, 0.85),
    Case("digits-selu-20x64", "digits", mlp(wide(64, 64, 20, 10), "selu"), ADAM, 0.85),
    Case("digits-elu-4x64-rmsprop", "digits", mlp(wide(64, 64, 4, 10), "elu"),
         fg.RMSprop(1e-3), 0.85),
    Case("digits-gelu-4x64-adamw", "digits", mlp(wide(64, 64, 4, 10), "gelu"),
         fg.AdamW(2e-3), 0.85),
    Case("digits-silu-3x64", "digits", mlp(wide(64, 64, 3, 10), "silu"), ADAM, 0.85),
    Case("digits-leaky-6x48", "digits", mlp(wide(64, 48, 6, 10), "leaky_relu"), ADAM, 0.8),
    Case("digits-relu-residual-10", "digits", residual(64, 64, 10, 10, "relu", 0.3), ADAM, 0.85),
    Case("digits-tanh-residual-20", "digits", residual(64, 48, 20, 10, "tanh", 0.2), ADAM, 0.85),
    Case("digits-relu-dropout", "digits", mlp(wide(64, 128, 2, 10), "relu", dropout=0.3),
         ADAM, 0.85),
    Case("digits-relu-l2", "digits", mlp(wide(64, 64, 2, 10), "relu"), ADAM, 0.85,
         regularizers=fg.L2(1e-4)),
    Case("digits-tanh-clip", "digits", mlp(wide(64, 64, 3, 10), "tanh"), fg.SGD(0.2), 0.85,
         clip=fg.ClipNorm(1.0)),
    Case("digits-even-relu", "digits_even", mlp(wide(64, 64, 2, 1), "relu"), ADAM, 0.8),
    Case("digits-even-tanh-batch16", "digits_even", mlp(wide(64, 32, 2, 1), "tanh"), ADAM, 0.8,
         batch_size=16, epochs=4),
    Case("digits-onehot-mse", "digits_one_hot", mlp(wide(64, 64, 2, 10), "relu"), ADAM, 0.5),
    Case("digits-relu-batch256", "digits", mlp(wide(64, 128, 2, 10), "relu"), FAST, 0.85,
         batch_size=256, epochs=16),
    Case("rows-rnn", "digits_in_rows", recurrent(fg.RNN, 8, 64, 10), ADAM, 0.75, epochs=10),
    Case("rows-lstm", "digits_in_rows", recurrent(fg.LSTM, 8, 48, 10), FAST, 0.75),
    Case("rows-gru-clip", "digits_in_rows", recurrent(fg.GRU, 8, 48, 10), FAST, 0.8,
         clip=fg.ClipNorm(1.0)),
    Case("vowels-means-relu", "vowels_means", mlp(wide(24, 64, 2, 9), "relu"), FAST, 0.8,
         batch_size=32, epochs=16),
    Case("vowels-means-tanh-6", "vowels_means", mlp(wide(24, 40, 6, 9), "tanh"), fg.Adam(2e-3),
         0.8, batch_size=32, epochs=16),
    Case("vowels-gru", "vowels", recurrent(fg.GRU, 12, 32, 9), fg.Adam(1e-2), 0.75,
         batch_size=32, epochs=16),
    Case("vowels-lstm", "vowels", recurrent(fg.LSTM, 12, 32, 9), fg.Adam(1e-2), 0.75,
         batch_size=32, epochs=16),
    Case("vowels-rnn", "vowels", recurrent(fg.RNN, 12, 48, 9), fg.Adam(3e-3), 0.7,
         batch_size=32, epochs=16, clip=fg.ClipNorm(5.0)),
    Case("remembered-lstm", "vowels_remembered",
         recurrent(fg.LSTM, 12, 48, 9, bias_init=INIT.chrono(67)), fg.Adam(1e-2), 0.6,
         batch_size=32, epochs=20, clip=fg.ClipNorm(1.0)),
    Case("remembered-gru", "vowels_remembered",
         recurrent(fg.GRU, 12, 48, 9, bias_init=INIT.forget_bias(3.0)), fg.Adam(1e-2), 0.6,
         batch_size=32, epochs=20, clip=fg.ClipNorm(1.0)),
    Case("text-relu-2x128", "shakespeare_next", text_mlp(128, 2, "relu"), fg.Adam(2e-3), 0.2,
         epochs=3),
    Case("text-tanh-4x96", "shakespeare_next", text_mlp(96, 4, "tanh"), fg.Adam(2e-3), 0.2,
         epochs=3),
    Case("text-rnn", "shakespeare",
         lambda: [fg.RNN(LETTERS, 96, one_hot=True, return_sequences=True),
                  fg.Dense(96, LETTERS)], fg.Adam(3e-3), 0.2, batch_size=32, epochs=3,
         clip=fg.ClipNorm(1.0)),
    Case("text-lstm", "shakespeare",
         lambda: [fg.LSTM(LETTERS, 96, one_hot=True, return_sequences=True),
                  fg.Dense(96, LETTERS)], fg.Adam(1e-2), 0.2, batch_size=32, epochs=3),
    Case("text-gru", "shakespeare",
         lambda: [fg.GRU(LETTERS, 64, one_hot=True, return_sequences=True),
                  fg.Dense(64, LETTERS)], fg.Adam(1e-2), 0.2, batch_size=32, epochs=3),
    Case("sunspots-relu", "sunspots", mlp(wide(24, 32, 2, 1), "relu"), ADAM, 0.65, epochs=5),
    Case("sunspots-tanh-sgd", "sunspots", mlp(wide(24, 64, 2, 1), "tanh"), fg.SGD(0.02), 0.6,
         epochs=5),
    Case("sunspots-huber", "sunspots", mlp(wide(24, 64, 3, 1), "gelu"), ADAM, 0.6, epochs=5,
         loss="huber"),
    Case("sunspots-mae", "sunspots", mlp(wide(24, 48, 2, 1), "softplus"), ADAM, 0.4, epochs=6,
         loss="mae"),
    Case("sunspots-rnn", "sunspots_in_steps", recurrent(fg.RNN, 1, 32, 1), ADAM, 0.7, epochs=5),
    Case("sunspots-gru", "sunspots_in_steps", recurrent(fg.GRU, 1, 24, 1), FAST, 0.7, epochs=5),
]  # fmt: skip
