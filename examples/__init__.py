"""Recurrent networks on data and on tasks of the literature: ``python -m examples.adding``."""
