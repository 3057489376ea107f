"""fastgrad: fast and honest training of dense and recurrent networks on a CPU."""

from fastgrad import callbacks, health, initializers, schedules
from fastgrad.backends import num_threads, set_num_threads, use_backend, warmup
from fastgrad.batch_norm import BatchNorm
from fastgrad.callbacks import EarlyStopping
from fastgrad.checkpoints import Checkpoint, resume
from fastgrad.clipping import (
    AGC,
    AutoClip,
    ClipNorm,
    ClipPerLayer,
    ClipPerTensor,
    ClipReport,
    ClipValue,
    GradFloor,
    GradientNoise,
    ZClip,
)
from fastgrad.constraints import MaxNorm, NonNegative, UnitNorm
from fastgrad.custom import activation
from fastgrad.embedding import Embedding, Flatten
from fastgrad.errors import GradientError
from fastgrad.fitting import fit
from fastgrad.gradcheck import gradcheck
from fastgrad.io import load
from fastgrad.layer_norm import LayerNorm, RMSNorm
from fastgrad.layers import Activation, Dense, Layer
from fastgrad.losses import (
    MAE,
    MSE,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    SoftCrossEntropy,
    loss,
)
from fastgrad.model import Sequential
from fastgrad.optimizers import (
    LAMB,
    LARS,
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
)
from fastgrad.parallel import Concat, Parallel
from fastgrad.penalties import L1, L2
from fastgrad.policies import RollBack, Skip
from fastgrad.range_test import RangeTest, lr_range_test
from fastgrad.recurrent import GRU, LSTM, RNN, TimeGradients
from fastgrad.regularization import Dropout
from fastgrad.rescale import Rescale
from fastgrad.residual import Residual
from fastgrad.run import Run
from fastgrad.session import Session
from fastgrad.standardize import Standardize
from fastgrad.system import info
from fastgrad.train import Trainer

__all__ = [
    "AGC",
    "GRU",
    "L1",
    "L2",
    "LAMB",
    "LARS",
    "LBFGS",
    "LSTM",
    "MAE",
    "MSE",
    "RNN",
    "SGD",
    "Activation",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "AutoClip",
    "BatchNorm",
    "BinaryCrossEntropy",
    "Checkpoint",
    "ClipNorm",
    "ClipPerLayer",
    "ClipPerTensor",
    "ClipReport",
    "ClipValue",
    "Concat",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Flatten",
    "GradFloor",
    "GradientError",
    "GradientNoise",
    "Huber",
    "Layer",
    "LayerNorm",
    "Lion",
    "MaxNorm",
    "Muon",
    "NAdam",
    "NonNegative",
    "Parallel",
    "RAdam",
    "RMSNorm",
    "RMSprop",
    "RangeTest",
    "Rescale",
    "Residual",
    "RollBack",
    "Rprop",
    "Run",
    "Sequential",
    "Session",
    "Skip",
    "SoftCrossEntropy",
    "Standardize",
    "TimeGradients",
    "Trainer",
    "UnitNorm",
    "ZClip",
    "activation",
    "callbacks",
    "fit",
    "gradcheck",
    "health",
    "info",
    "initializers",
    "load",
    "loss",
    "lr_range_test",
    "num_threads",
    "resume",
    "schedules",
    "set_num_threads",
    "use_backend",
    "warmup",
]
