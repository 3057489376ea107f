"""Gradient health: predicted before training."""

from fastgrad.health.prediction import predict

__all__ = ["predict"]
