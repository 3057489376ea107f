"""The same runs, each with one fault."""

from __future__ import annotations

import numpy as np

import fastgrad as fg
from bench.health_suite.case import Case, mlp, recurrent, residual, update_bias, wide
from bench.health_suite.healthy import HEALTHY, INIT, LETTERS, text_mlp

OF = {case.name: case for case in HEALTHY}
VANISH = "initializer normalization residual activation"
RATE = "smaller_learning_rate clipping"


def _normal(std: float) -> object:
    return INIT.normal(std)


def _scaled(scale: float) -> object:
    return INIT.variance_scaling(scale, "fan_in", "truncated_normal")


_FAULTY = [
    # vanishing along layers
    OF["digits-relu-10x64"].but(
        "torch", "vanishing", "initializer",
        layers=mlp(wide(64, 64, 10, 10), "relu", "torch_default")),
    OF["digits-relu-20x64"].but(
        "torch", "vanishing", "initializer",
        layers=mlp(wide(64, 64, 20, 10), "relu", "torch_default")),
    OF["digits-relu-20x64"].but(
        "lecun-sgd", "vanishing", "initializer", optimizer=fg.SGD(0.1),
        layers=mlp(wide(64, 64, 20, 10), "relu", "lecun_normal")),
    OF["digits-relu-5x64-momentum"].but(
        "small", "vanishing init", "initializer",
        layers=mlp(wide(64, 64, 5, 10), "relu", _normal(0.01))),
    OF["digits-tanh-10x64"].but(
        "small", "vanishing init", "initializer",
        layers=mlp(wide(64, 64, 10, 10), "tanh", _normal(0.01))),
    OF["digits-tanh-20x100"].but(
        "torch-sgd", "vanishing", "initializer", optimizer=fg.SGD(0.1),
        layers=mlp(wide(64, 100, 20, 10), "tanh", "torch_default")),
    OF["digits-tanh-10x64"].but(
        "sigmoid", "vanishing", "activation", layers=mlp(wide(64, 64, 10, 10), "sigmoid")),
    OF["digits-selu-20x64"].but(
        "sigmoid", "vanishing", "activation", layers=mlp(wide(64, 64, 20, 10), "sigmoid")),
    OF["digits-relu-5x64-momentum"].but(
        "sigmoid", "vanishing", "activation", layers=mlp(wide(64, 64, 5, 10), "sigmoid")),
    OF["digits-selu-8x64"].but(
        "sigmoid-sgd", "vanishing", "activation", optimizer=fg.SGD(0.1),
        layers=mlp(wide(64, 64, 8, 10), "sigmoid")),
    OF["vowels-means-tanh-6"].but(
        "sigmoid", "vanishing", "activation", layers=mlp(wide(24, 40, 8, 9), "sigmoid")),
    OF["text-tanh-4x96"].but(
        "sigmoid", "vanishing", "activation", layers=text_mlp(96, 8, "sigmoid")),
    OF["text-relu-2x128"].but(
        "deep-torch", "vanishing", "initializer",
        layers=text_mlp(128, 14, "relu", weight="torch_default")),
    OF["digits-onehot-mse"].but(
        "deep-torch", "vanishing", "initializer",
        layers=mlp(wide(64, 64, 14, 10), "relu", "torch_default")),
    OF["sunspots-relu"].but(
        "deep-torch", "vanishing", "initializer", optimizer=fg.SGD(0.02),
        layers=mlp(wide(24, 32, 16, 1), "relu", "torch_default")),
    # along time
    OF["remembered-lstm"].but(
        "rnn", "vanishing", "lstm initializer",
        layers=recurrent(fg.RNN, 12, 48, 9, recurrent_init=_normal(0.08))),
    OF["remembered-lstm"].but(
        "rnn-small", "vanishing", "initializer lstm",
        layers=recurrent(fg.RNN, 12, 48, 9, recurrent_init=_normal(0.02))),
    OF["remembered-lstm"].but(
        "forgets", "vanishing", "forget_bias",
        layers=recurrent(fg.LSTM, 12, 48, 9, forget_bias=-1.0)),
    OF["remembered-lstm"].but(
        "forget-0", "vanishing", "forget_bias",
        layers=recurrent(fg.LSTM, 12, 48, 9, forget_bias=0.0)),
    OF["remembered-gru"].but(
        "forgets", "vanishing", "forget_bias",
        layers=recurrent(fg.GRU, 12, 48, 9, bias_init=update_bias(-2.0))),
    OF["remembered-gru"].but(
        "rnn-sigmoid", "vanishing", "lstm activation initializer",
        layers=recurrent(fg.RNN, 12, 48, 9, "sigmoid")),
    # exploding
    OF["digits-relu-10x64"].but(
        "large", "exploding init", "initializer",
        layers=mlp(wide(64, 64, 10, 10), "relu", _normal(0.6))),
    OF["digits-relu-20x64"].but(
        "large", "exploding init nonfinite", "initializer",
        layers=mlp(wide(64, 64, 20, 10), "relu", _scaled(8.0))),
    OF["digits-leaky-6x48"].but(
        "large", "exploding init", "initializer",
        layers=mlp(wide(64, 48, 6, 10), "leaky_relu", _normal(1.0))),
    OF["digits-elu-4x64-rmsprop"].but(
        "large", "exploding init", "initializer",
        layers=mlp(wide(64, 64, 4, 10), "elu", _normal(1.5))),
    OF["digits-relu-residual-10"].but(
        "large", "exploding init", "initializer residual",
        layers=lambda: [
            fg.Dense(64, 64, "relu"),
            *[fg.Residual(fg.Dense(64, 64, "relu", weight_init=_scaled(8.0)),
                          fg.Dense(64, 64, weight_init=_scaled(8.0))) for _ in range(10)],
            fg.Dense(64, 10)]),
    OF["sunspots-rnn"].but(
        "large", "exploding", "initializer clipping", optimizer=fg.SGD(0.05),
        layers=recurrent(fg.RNN, 1, 32, 1, "identity", recurrent_init=_normal(0.28))),
    OF["vowels-rnn"].but(
        "relu-large", "exploding nonfinite", "initializer clipping", clip=None,
        layers=recurrent(fg.RNN, 12, 48, 9, "relu", recurrent_init=_normal(0.45))),
    OF["rows-rnn"].but(
        "relu-large", "exploding nonfinite", "initializer clipping",
        layers=recurrent(fg.RNN, 8, 64, 10, "relu", recurrent_init=_normal(0.8))),
    # not finite
    OF["digits-onehot-mse"].but(
        "overflow", "nonfinite update_ratio", RATE, optimizer=fg.SGD(30.0)),
    OF["sunspots-relu"].but("overflow", "nonfinite update_ratio", RATE, optimizer=fg.SGD(3.0)),
    OF["sunspots-huber"].but(
        "overflow", "nonfinite exploding init", "initializer",
        layers=mlp(wide(24, 64, 12, 1), "relu", _normal(300.0))),
    OF["sunspots-gru"].but(
        "overflow", "nonfinite inputs", "normalize_inputs", x=lambda x: x * np.float32(1e30),
        layers=recurrent(fg.RNN, 1, 24, 1, "relu")),
    # dead
    OF["digits-relu-2x64"].but(
        "born-dead", "dead", "initializer bias",
        layers=mlp(wide(64, 64, 2, 10), "relu", bias=INIT.constant(-3.0))),
    OF["digits-relu-3x100-sgd"].but(
        "born-dead", "dead", "initializer bias",
        layers=mlp(wide(64, 100, 3, 10), "relu", bias=INIT.constant(-2.0))),
    OF["vowels-means-relu"].but(
        "born-dead", "dead", "initializer bias",
        layers=mlp(wide(24, 64, 2, 9), "relu", bias=INIT.constant(-5.0))),
    OF["digits-even-relu"].but(
        "died", "dead update_ratio", RATE, optimizer=fg.SGD(20.0)),
    OF["digits-relu-1x32"].but("died", "dead update_ratio", RATE, optimizer=fg.Adam(1.0)),
    OF["digits-relu-2x256"].but("died", "dead update_ratio", RATE, optimizer=fg.SGD(10.0)),
    # saturated
    OF["digits-tanh-2x64"].but(
        "saturated", "saturated", "initializer normalization",
        layers=mlp(wide(64, 64, 2, 10), "tanh", _normal(2.0))),
    OF["digits-tanh-20x100"].but(
        "saturated", "saturated", "initializer normalization",
        layers=mlp(wide(64, 100, 20, 10), "tanh", _normal(0.8))),
    OF["digits-sigmoid-2x64"].but(
        "saturated", "saturated", "initializer normalization",
        layers=mlp(wide(64, 64, 2, 10), "sigmoid", _normal(5.0))),
    OF["sunspots-tanh-sgd"].but(
        "saturated", "saturated", "initializer normalization",
        layers=mlp(wide(24, 64, 2, 1), "tanh", _normal(3.0), last="xavier_uniform")),
    OF["text-tanh-4x96"].but(
        "saturated", "saturated", "initializer normalization",
        layers=text_mlp(96, 4, "tanh", weight=_normal(2.0))),
    OF["rows-rnn"].but(
        "saturated", "saturated exploding init", "initializer normalization",
        layers=recurrent(fg.RNN, 8, 64, 10, weight_init=_normal(4.0))),
    # initial weights
    OF["digits-relu-2x64"].but(
        "zeros", "init", "initializer", layers=mlp(wide(64, 64, 2, 10), "relu", "zeros")),
    OF["digits-tanh-2x64"].but(
        "constant", "init", "initializer",
        layers=mlp(wide(64, 64, 2, 10), "tanh", INIT.constant(0.05))),
    OF["vowels-means-relu"].but(
        "constant", "init", "initializer",
        layers=mlp(wide(24, 64, 2, 9), "relu", INIT.constant(0.1))),
    OF["sunspots-relu"].but(
        "zeros", "init", "initializer", layers=mlp(wide(24, 32, 2, 1), "relu", "zeros")),
    OF["text-relu-2x128"].but(
        "zeros", "init", "initializer", layers=text_mlp(128, 2, "relu", weight="zeros")),
    OF["digits-relu-1x32"].but(
        "last-large", "init", "initializer",
        layers=mlp(wide(64, 32, 1, 10), "relu", last=_normal(20.0))),
    OF["digits-gelu-4x64-adamw"].but(
        "last-large", "init", "initializer",
        layers=mlp(wide(64, 64, 4, 10), "gelu", last=_normal(30.0))),
    # inputs and targets
    OF["digits-relu-3x100-sgd"].but(
        "raw-255", "inputs", "normalize_inputs", x=lambda x: x * np.float32(255)),
    OF["digits-tanh-2x64"].but(
        "raw-255", "inputs", "normalize_inputs", x=lambda x: x * np.float32(255)),
    OF["digits-sigmoid-2x64"].but(
        "raw-255", "inputs", "normalize_inputs", x=lambda x: x * np.float32(4000)),
    OF["digits-even-tanh-batch16"].but(
        "offset", "inputs", "normalize_inputs", x=lambda x: x + np.float32(100)),
    OF["rows-lstm"].but(
        "offset", "inputs", "normalize_inputs", x=lambda x: 100 * x + np.float32(500)),
    OF["vowels-gru"].but(
        "scaled", "inputs", "normalize_inputs", x=lambda x: x * np.float32(300)),
    OF["vowels-means-tanh-6"].but(
        "tiny", "inputs", "normalize_inputs", x=lambda x: x * np.float32(1e-3)),
    OF["vowels-means-relu"].but(
        "one-feature", "inputs", "normalize_inputs",
        x=lambda x: x * np.where(np.arange(24) == 3, 1000, 1).astype(np.float32)),
    OF["sunspots-tanh-sgd"].but(
        "raw", "inputs", "normalize_inputs normalize_targets",
        x=lambda x: 44 * x + np.float32(52), y=lambda y: 44 * y + np.float32(52)),
    OF["sunspots-gru"].but(
        "targets", "inputs", "normalize_targets", y=lambda y: 440 * y + np.float32(520)),
    # learning rates
    OF["digits-relu-2x64"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.3)),
    OF["digits-tanh-10x64"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.1)),
    OF["digits-relu-5x64-momentum"].but(
        "fast", "update_ratio nonfinite", RATE, optimizer=fg.SGD(1.0, momentum=0.9)),
    OF["rows-gru-clip"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.5)),
    OF["vowels-lstm"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(1.0)),
    OF["text-gru"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.5)),
    OF["sunspots-mae"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(1.0)),
    OF["digits-selu-8x64"].but(
        "slow", "update_ratio", "larger_learning_rate", optimizer=fg.Adam(1e-6)),
    OF["digits-relu-3x100-sgd"].but(
        "slow", "update_ratio", "larger_learning_rate optimizer", optimizer=fg.SGD(1e-5)),
    OF["text-lstm"].but(
        "slow", "update_ratio", "larger_learning_rate optimizer", optimizer=fg.SGD(1e-4)),
    OF["sunspots-huber"].but(
        "slow", "update_ratio", "larger_learning_rate", optimizer=fg.Adam(1e-6)),
    OF["vowels-gru"].but(
        "slow", "update_ratio", "larger_learning_rate", optimizer=fg.Adam(3e-6)),
    OF["digits-relu-residual-10"].but(
        "slow", "update_ratio", "larger_learning_rate", optimizer=fg.Adam(1e-6)),
    # regularization
    OF["digits-relu-l2"].but(
        "strong", "regularization", "less_regularization", regularizers=fg.L2(1.0)),
    OF["digits-tanh-2x64"].but(
        "l2", "regularization", "less_regularization", regularizers=fg.L2(0.3)),
    OF["digits-relu-2x256"].but(
        "l1", "regularization", "less_regularization", regularizers=fg.L1(0.1)),
    OF["sunspots-relu"].but(
        "l2", "regularization", "less_regularization", regularizers=fg.L2(1.0)),
    OF["digits-gelu-4x64-adamw"].but(
        "decay", "regularization", "less_regularization",
        optimizer=fg.AdamW(2e-3, weight_decay=50.0)),
    OF["rows-gru-clip"].but(
        "l2", "regularization", "less_regularization", regularizers=fg.L2(0.3)),
    OF["digits-relu-dropout"].but(
        "95", "regularization", "less_dropout less_regularization",
        layers=mlp(wide(64, 128, 2, 10), "relu", dropout=0.95)),
    # clipping
    OF["digits-tanh-clip"].but(
        "tiny", "clipping", "no_clipping larger_learning_rate", clip=fg.ClipNorm(1e-4)),
    OF["digits-relu-3x100-sgd"].but(
        "clip", "clipping", "no_clipping larger_learning_rate", clip=fg.ClipNorm(1e-3)),
    OF["sunspots-tanh-sgd"].but(
        "clip", "clipping", "no_clipping larger_learning_rate", clip=fg.ClipValue(1e-5)),
]  # fmt: skip

_MORE = [
    OF["sunspots-relu-deep"].but(
        "sigmoid", "vanishing", "activation", layers=mlp(wide(24, 48, 8, 1), "sigmoid")),
    OF["digits-even-relu-6x32"].but(
        "torch", "vanishing", "initializer", optimizer=fg.SGD(0.1),
        layers=mlp(wide(64, 32, 10, 1), "relu", "torch_default")),
    OF["vowels-means-selu-sgd"].but(
        "small", "vanishing init", "initializer",
        layers=mlp(wide(24, 32, 8, 9), "selu", _normal(0.03))),
    OF["sunspots-relu-deep"].but(
        "large", "exploding init", "initializer",
        layers=mlp(wide(24, 48, 8, 1), "relu", _normal(1.0))),
    OF["vowels-means-selu-sgd"].but(
        "large", "exploding init nonfinite", "initializer",
        layers=mlp(wide(24, 32, 8, 9), "selu", _normal(1.0))),
    OF["text-gelu-residual"].but(
        "large", "exploding init", "initializer residual",
        layers=lambda: [
            fg.Embedding(LETTERS, 16, weight_init=_normal(0.3)), fg.Flatten(8, 16),
            *residual(128, 64, 12, LETTERS, "relu", 6.0)()]),
    OF["digits-tanh-residual-20"].but(
        "large", "exploding init", "initializer residual",
        layers=residual(64, 48, 20, 10, "relu", 3.0)),
    OF["sunspots-lstm"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(2.0)),
    OF["vowels-two-gru"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.5)),
    OF["text-rnn"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.5)),
    OF["digits-elu-clip-value"].but(
        "fast", "update_ratio", RATE, optimizer=fg.Adam(0.5), clip=None),
    OF["digits-relu-3x64-norm"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(3.0)),
    OF["sunspots-relu-deep"].but("fast", "update_ratio", RATE, optimizer=fg.Adam(0.5)),
    OF["vowels-rnn"].but("fast", "update_ratio saturated", RATE, optimizer=fg.Adam(0.5)),
    OF["digits-tanh-sgd-decay"].but(
        "fast", "update_ratio saturated", RATE, optimizer=fg.SGD(30.0)),
    OF["digits-tanh-l1"].but(
        "slow", "update_ratio", "larger_learning_rate", optimizer=fg.Adam(1e-6)),
    OF["sunspots-rnn"].but(
        "slow", "update_ratio", "larger_learning_rate", optimizer=fg.Adam(2e-6)),
    OF["text-relu-2x128"].but(
        "slow", "update_ratio", "larger_learning_rate optimizer", optimizer=fg.SGD(1e-4)),
    OF["sunspots-relu-deep"].but("overflow", "nonfinite update_ratio", RATE, optimizer=fg.SGD(2.0)),
    OF["digits-onehot-tanh-sgd"].but(
        "overflow", "nonfinite update_ratio", RATE, optimizer=fg.SGD(50.0),
        layers=mlp(wide(64, 64, 1, 10), "identity")),
    OF["sunspots-tanh-sgd"].but("overflow", "nonfinite update_ratio", RATE, optimizer=fg.SGD(10.0),
                                layers=mlp(wide(24, 64, 2, 1), "elu")),
    OF["sunspots-rnn"].but(
        "overflow", "nonfinite exploding update_ratio", RATE, optimizer=fg.SGD(20.0),
        layers=recurrent(fg.RNN, 1, 32, 1, "relu")),
    OF["digits-relu-dropout-half"].but(
        "97", "regularization", "less_dropout less_regularization",
        layers=mlp(wide(64, 128, 2, 10), "relu", dropout=0.97)),
    OF["text-tanh-4x96"].but(
        "dropout", "regularization", "less_dropout less_regularization",
        layers=text_mlp(96, 4, "tanh", dropout=0.95)),
    OF["digits-relu-decay"].but(
        "strong", "regularization", "less_regularization",
        optimizer=fg.AdamW(2e-3, weight_decay=30.0)),
    OF["sunspots-relu-deep"].but(
        "decay", "regularization", "less_regularization",
        optimizer=fg.AdamW(1e-3, weight_decay=100.0)),
    OF["digits-tanh-sgd-decay"].but(
        "strong", "regularization", "less_regularization",
        optimizer=fg.SGD(0.1, weight_decay=0.5)),
    OF["digits-tanh-l1"].but(
        "strong", "regularization", "less_regularization", regularizers=fg.L1(0.03)),
    OF["text-gru"].but(
        "l2", "regularization", "less_regularization", regularizers=fg.L2(0.1)),
    OF["vowels-means-relu-norm"].but(
        "l2", "regularization", "less_regularization", regularizers=fg.L2(3.0)),
    OF["digits-onehot-tanh-sgd"].but(
        "clip", "clipping", "no_clipping larger_learning_rate", clip=fg.ClipNorm(1e-4)),
    OF["vowels-means-selu-sgd"].but(
        "clip", "clipping", "no_clipping larger_learning_rate", clip=fg.ClipPerTensor(1e-4)),
    OF["digits-relu-5x64-momentum"].but(
        "clip", "clipping", "no_clipping larger_learning_rate", clip=fg.ClipNorm(1e-4)),
    OF["sunspots-relu-deep"].but(
        "born-dead", "dead", "initializer bias",
        layers=mlp(wide(24, 48, 3, 1), "relu", bias=INIT.constant(-20.0))),
    OF["text-relu-2x128"].but(
        "born-dead", "dead", "initializer bias",
        layers=text_mlp(128, 2, "relu", bias=INIT.constant(-8.0))),
    OF["digits-even-relu-6x32"].but(
        "died", "dead update_ratio", RATE, optimizer=fg.Adam(1.0)),
    OF["digits-even-sigmoid"].but(
        "saturated", "saturated", "initializer normalization",
        layers=mlp(wide(64, 48, 3, 1), "sigmoid", _normal(8.0))),
    OF["vowels-means-tanh-6"].but(
        "saturated", "saturated", "initializer normalization",
        layers=mlp(wide(24, 40, 6, 9), "tanh", _normal(2.0))),
    OF["vowels-rnn"].but(
        "saturated", "saturated exploding init", "initializer normalization",
        layers=recurrent(fg.RNN, 12, 48, 9, recurrent_init=_normal(2.0))),
    OF["digits-selu-8x64"].but(
        "zeros", "init", "initializer", layers=mlp(wide(64, 64, 8, 10), "selu", "zeros")),
    OF["digits-even-relu"].but(
        "constant", "init", "initializer",
        layers=mlp(wide(64, 64, 2, 1), "relu", INIT.constant(0.05))),
    OF["vowels-gru"].but(
        "constant", "init", "initializer",
        layers=recurrent(fg.GRU, 12, 32, 9, weight_init=INIT.constant(0.1),
                         recurrent_init="zeros", last=INIT.constant(0.1))),
    OF["digits-tanh-l1"].but(
        "last-large", "init", "initializer",
        layers=mlp(wide(64, 64, 2, 10), "tanh", last=_normal(10.0))),
    OF["text-tanh-4x96"].but(
        "last-large", "init", "initializer",
        layers=text_mlp(96, 4, "tanh", last=_normal(8.0))),
    OF["sunspots-relu-deep"].but(
        "raw-inputs", "inputs", "normalize_inputs",
        x=lambda x: 4400 * x + np.float32(5200)),
    OF["sunspots-mae"].but(
        "targets", "inputs", "normalize_targets", y=lambda y: 44 * y + np.float32(52)),
    OF["sunspots-relu-deep"].but(
        "targets", "inputs", "normalize_targets", optimizer=fg.Adam(1e-4),
        y=lambda y: 440 * y + np.float32(520)),
    OF["digits-even-sigmoid"].but(
        "offset", "inputs", "normalize_inputs", x=lambda x: x + np.float32(50)),
    OF["vowels-lstm"].but(
        "tiny", "inputs", "normalize_inputs", x=lambda x: x * np.float32(1e-3)),
    OF["sunspots-lstm"].but(
        "raw", "inputs", "normalize_inputs", x=lambda x: 440 * x + np.float32(520)),
    OF["remembered-gru"].but(
        "forgets-more", "vanishing", "forget_bias",
        layers=recurrent(fg.GRU, 12, 48, 9, bias_init=update_bias(-1.0))),
    OF["remembered-lstm"].but(
        "gru-forgets", "vanishing", "forget_bias",
        layers=recurrent(fg.GRU, 12, 48, 9, bias_init=update_bias(-1.5))),
    OF["remembered-gru"].but(
        "lstm-forgets", "vanishing", "forget_bias",
        layers=recurrent(fg.LSTM, 12, 48, 9, forget_bias=0.5)),
    OF["remembered-gru"].but(
        "rnn-tanh", "vanishing", "lstm initializer",
        layers=recurrent(fg.RNN, 12, 32, 9, recurrent_init=_normal(0.05))),
]  # fmt: skip

FAULTY: list[Case] = [*_FAULTY, *_MORE]
