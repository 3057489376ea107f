"""Benchmarks of fastgrad; nothing here is installed with the library."""
