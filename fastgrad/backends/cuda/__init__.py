"""The CUDA backend: kernels for a GPU, written in Python and compiled by numba-cuda."""
