"""Gradients before training: signal propagation, layer by layer and along time."""

from fastgrad.health.prediction.predicting import predict
from fastgrad.health.prediction.result import Comparison, Prediction
from fastgrad.health.prediction.walk import Memory

__all__ = ["Comparison", "Memory", "Prediction", "predict"]
