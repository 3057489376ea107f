"""fastgrad: fast and honest training of dense networks on a CPU."""

from fastgrad import initializers, schedules
from fastgrad.backends import num_threads, set_num_threads, use_backend
from fastgrad.batch_norm import BatchNorm
from fastgrad.clipping import ClipNorm, ClipPerLayer, ClipReport, ClipValue, GradFloor
from fastgrad.containers import Residual
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
)
from fastgrad.model import Sequential
from fastgrad.optimizers import SGD, Adam, AdamW, RMSprop
from fastgrad.policies import RollBack, Skip
from fastgrad.range_test import RangeTest, lr_range_test
from fastgrad.regularization import Dropout
from fastgrad.run import EarlyStopping, Run
from fastgrad.system import info
from fastgrad.train import Trainer

__all__ = [
    "MAE",
    "MSE",
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "BatchNorm",
    "BinaryCrossEntropy",
    "ClipNorm",
    "ClipPerLayer",
    "ClipReport",
    "ClipValue",
    "CrossEntropy",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "GradFloor",
    "GradientError",
    "Huber",
    "Layer",
    "LayerNorm",
    "RMSNorm",
    "RMSprop",
    "RangeTest",
    "Residual",
    "RollBack",
    "Run",
    "Sequential",
    "Skip",
    "SoftCrossEntropy",
    "Trainer",
    "fit",
    "gradcheck",
    "info",
    "initializers",
    "load",
    "lr_range_test",
    "num_threads",
    "schedules",
    "set_num_threads",
    "use_backend",
]
