"""Labelled training runs, healthy and with seeded faults, that rules of health are judged by."""
