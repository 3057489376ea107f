"""`Limits`: every threshold of the rules, all of them ratios."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Thresholds. None has a unit: they stay what they are when a loss is multiplied.

    "A" is the half of the labelled suite on which a number was fixed (``bench.health_suite``).
    """

    # the least progress of the loss, from that of constant outputs to 0, that counts as learning
    learning: float = 0.1  # A
    learned: float = 0.5  # progress after which a symptom has done no harm; A
    almost: float = 0.9  # progress after which a bad start is made good; A
    patience: int = 30  # steps that a run is given before it is said not to learn; A

    # |delta_1| / |delta_L|
    vanishing: float = 1e-3  # AutoTrainer's beta_1
    vanishing_stuck: float = 1e-2  # where nothing is learned; A
    vanished: float = 1e-6
    exploding: float = 70.0  # AutoTrainer's beta_3
    exploded: float = 1e3
    alone: float = 0.8  # part of the decades that a single layer makes; A
    # the same along time, over all steps: training at single steps goes on without the early ones
    vanishing_time: float = 1e-4  # A
    vanished_time: float = 1e-7  # about the resolution of float32
    exploding_time: float = 1e3
    trend: float = 0.5  # TheDeepChecker: of the ratio, at each of five looks
    spike: float = 100.0  # norm over its median; A

    # of a layer's units. SageMaker and TheDeepChecker have 0.5, which deep layers of healthy relu
    # come near to: all rows look alike to them, and half of the units are off for all
    dead: float = 0.65
    all_dead: float = 0.9
    saturated: float = 0.5  # of a layer's outputs; DeepDiagnosis
    all_saturated: float = 0.9

    law: float = 0.25  # mean square of weights over what signals need, or the inverse
    scale: float = 1e3  # largest over smallest deviation of hidden outputs
    initial_loss: float = 5.0  # over that of constant outputs; A
    initial_loss_far: float = 10.0  # A
    targets: float = 10.0  # deviation of targets over that of first outputs, or over 1; A
    copies: float = 0.5  # fraction of the units that start as copies of others

    inputs: float = 4.0  # root mean square of all features, where 1 is meant; A
    inputs_far: float = 30.0
    inputs_small: float = 0.02
    feature: float = 20.0  # largest feature over the median one
    row: float = 1e3  # a row over the median one
    odd_rows: float = 0.01  # fraction of the rows of which there may be as many

    update_large: float = 0.1  # of update over weight; TheDeepChecker, MindSpore
    update_huge: float = 1.0
    update_broken: float = 0.25  # so large at any time, where little has been learned since; A
    update_small: float = 1e-4  # TheDeepChecker, MindSpore
    step_short: float = -0.9  # of -1, no step, to 0, the least loss along it
    rises: float = 0.4  # fraction of the steps that end beyond 1, where the loss is higher
    unchanged: float = 1e-8  # MindInsight: as numpy.allclose has it

    stuck: float = 0.03  # progress that is none; A
    diverging: float = 2.0  # over the least loss; TheDeepChecker
    chance: float = 6.0  # standard errors, between the least of some means and another one
    diverged: float = 0.2  # the same rise in parts of the constant loss; A
    overfitting: float = 1.1  # over the least validation loss; SageMaker
    oscillating: float = 0.5  # deviation of losses of following steps over their mean; A
    rows: int = 64  # of a minibatch for which that holds: the batch size of A

    burden: float = 0.1  # of the penalties, over the loss of constant outputs; A
    collapsed: float = 0.2  # of weights over their first size; A
    shrunk: float = 0.1**0.5  # the same while they are drawn to 0: a tenth of the mean square
    grown: float = 2.0  # of weights over their first size; A
    penalty: float = 0.7  # its gradient over the whole; A
    balanced: float = 0.8  # the same where weights stay small by it: 1 but for minibatches' noise
    dropout: float = 0.7  # A
    clipped: float = 0.9  # of the steps
    kept: float = 1e-2  # of the norm; A
