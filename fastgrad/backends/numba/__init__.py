"""Every kernel in Python that Numba compiles: where the compiled modules of a wheel are missing."""
