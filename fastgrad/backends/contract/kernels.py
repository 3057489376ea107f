"""`CONTRACT`: the signatures of all kernels."""

from fastgrad.backends.contract import (
    batches,
    clips,
    layers,
    losses,
    optimizers,
    probe,
    recurrent,
)

CONTRACT = {
    **layers.KERNELS,
    **recurrent.KERNELS,
    **losses.KERNELS,
    **optimizers.KERNELS,
    **clips.KERNELS,
    **batches.KERNELS,
    **probe.KERNELS,
}
