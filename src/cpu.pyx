# What this processor can run, and how fast its multiply-add units are.
cdef extern from "fg_cpu.h":
    int fg_cpu_level()


def best_level():
    """The highest of "base", "v3", "v4" that this machine runs, whether compiled in or not."""
    return {0: "base", 3: "v3", 4: "v4"}[fg_cpu_level()]
