"""Compiled walkers, launched with arguments that are packed once.

A launch through Numba takes 20 to 50 us, most of it for its arrays. Ours are always the same.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from cuda.bindings import driver
from cuda.core import LaunchConfig, Stream, launch

from fastgrad.backends.cuda.cubins import cubin
from fastgrad.backends.cuda.device import BLOCK
from fastgrad.backends.cuda.memory import START, size
from fastgrad.backends.cuda.target import cuda
from fastgrad.backends.cuda.walk import Functions

STREAM = cuda.stream()  # of everything that this backend starts
_STREAM = Stream.from_handle(int(STREAM))
_USUAL = 48 << 10  # bytes of shared memory that a kernel may have without being asked


class Kernel:
    """The kernel that goes through plans, on the present device.

    Parameters
    ----------
    functions : tuple
        Of phases.
    real : dtype
    """

    def __init__(self, functions: Functions, real: np.dtype[Any]) -> None:
        major, minor = cuda.get_current_device().compute_capability[:2]
        code = cubin(functions, real, (int(major), int(minor)))
        self._kernel = code.get_kernel(code.name)
        self._memory: list[int] = []
        for itemsize in (real.itemsize, 8, 8):
            count = size(itemsize)
            # owner, parent, elements, bytes of one, address, shape, strides: Numba's array
            self._memory += [0, 0, count, itemsize, START, count, itemsize]
        self._allowed = _USUAL

    def most_blocks(self, shared: int) -> int:
        """How many blocks the device has room for at once, one on each multiprocessor.

        More of them would wait for each other for longer.

        Raises
        ------
        RuntimeError
            Where it has no room for one, with so many bytes of shared memory.
        """
        self._allow(shared)
        each = self._kernel.occupancy.max_active_blocks_per_multiprocessor(BLOCK, shared)
        if not each:
            raise RuntimeError(f"no block of {shared:,} bytes of shared memory fits on this GPU")
        return int(cuda.get_current_device().MULTIPROCESSOR_COUNT)

    def launch(self, blocks: int, shared: int, plan: int) -> None:
        """Start it, on the stream that everything of this backend shares."""
        self._allow(shared)
        launch(_STREAM, _config(blocks, shared), self._kernel, *self._memory, plan)

    def _allow(self, shared: int) -> None:
        if shared > self._allowed:
            attribute = driver.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            handle = driver.CUkernel(int(self._kernel.handle))
            device = driver.CUdevice(cuda.get_current_device().id)
            (code,) = driver.cuKernelSetAttribute(attribute, shared, handle, device)
            if code != driver.CUresult.CUDA_SUCCESS:
                raise RuntimeError(f"{shared:,} bytes of shared memory are refused: {code.name}")
            self._allowed = shared


@functools.cache
def _config(blocks: int, shared: int) -> LaunchConfig:
    return LaunchConfig(grid=blocks, block=BLOCK, shmem_size=shared, is_cooperative=True)


def copy_to(array: Any, values: Any) -> None:
    """Copy an array of the host into one of the same size and kind in managed memory."""
    place = driver.CUdeviceptr(array.ctypes.data)
    # not Async: `values` may be gone, or changed, once this has returned
    _check(driver.cuMemcpyHtoD(place, values.ctypes.data, values.nbytes))


def copy_from(array: Any) -> Any:
    """A copy for the host of a contiguous array in managed memory."""
    found = np.empty_like(array)
    place = driver.CUdeviceptr(array.ctypes.data)
    _check(driver.cuMemcpyDtoHAsync(found.ctypes.data, place, found.nbytes, int(STREAM)))
    STREAM.synchronize()
    return found


def _check(answer: tuple[Any, ...]) -> None:
    if answer[0] != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"a copy to or from the GPU failed: {answer[0].name}")
