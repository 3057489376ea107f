"""What is wrong before the first step: inputs, targets, first weights."""

from __future__ import annotations

import math
from itertools import pairwise

from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.data import InputFacts
from fastgrad.health.rules.facts import Facts
from fastgrad.health.rules.limits import Limits
from fastgrad.health.rules.middle import median
from fastgrad.health.rules.rule import Finding, Rule
from fastgrad.health.rules.window import Window


def _inputs(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    known = facts.inputs
    if known is None or facts.normalized or not known.size > 0:
        return None
    odd = _odd_rows(known, limits)
    if odd is not None:
        return odd
    rms = known.rms[known.rms > 0]
    size, middle, largest = known.size, median(rms), float(rms.max())
    evidence = {"size": size, "largest_feature": largest, "median_feature": middle}
    if size > limits.inputs:
        far = size > limits.inputs_far
        cause = f"inputs are {size:.3g} in size, where weights are made for 1"
    elif size < limits.inputs_small:
        far, cause = False, f"inputs are {size:.2g} in size, where weights are made for 1"
    elif largest > limits.feature * middle and largest > limits.inputs:
        far = False
        cause = f"the largest feature is {largest / middle:.3g} times the median one"
    else:
        return None
    severity = "critical" if far else "warning"
    return Finding(severity, cause, cures("normalize_inputs", "normalization"), evidence)


def _odd_rows(known: InputFacts, limits: Limits) -> Finding | None:
    """A few rows that are far larger than all others, whatever the size of those."""
    middle = median(known.sizes)
    if not middle > 0:
        return None
    count = int((known.sizes > limits.row * middle).sum())
    worst = int(known.sizes.argmax())
    size = float(known.sizes[worst])
    if not (0 < count <= max(1, limits.odd_rows * len(known.sizes)) and size > limits.inputs):
        return None
    others = "" if count == 1 else f", and {count - 1} more are like it"
    return Finding(
        "critical",
        f"row {known.rows[worst]} of the inputs is {size:.3g} in size, where the median row is "
        f"{middle:.3g}{others}",
        cures("rows"),
        {"row": float(known.rows[worst]), "size": size, "median_row": middle,
         "rows": float(count)},
    )  # fmt: skip


def _targets(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if not facts.target_std > 0 or not len(window.first.layers):
        return None
    outer = [i for i, name in enumerate(window.first.layers) if not facts.is_aside(name)]
    outputs = float(window.first.output_stds[0, outer[-1]])
    zero, constant = facts.first_loss, facts.constant_loss
    zero = min(zero, float(window.first.losses[0]))  # outputs may start where targets are
    far = zero > limits.initial_loss * constant  # the mean of the targets is far from 0
    # outputs of a network with good weights are of the order of 1
    if not (far or facts.target_std > limits.targets * max(1.0, outputs)):
        return None
    learned = window.progress > limits.almost
    return Finding(
        "info" if learned else "warning",
        f"targets have a deviation of {facts.target_std:.3g} where the first outputs have "
        f"{outputs:.3g}, and may lie far from 0: the last layer has a long way to go",
        cures("normalize_targets", "larger_learning_rate"),
        {"target_std": facts.target_std, "output_std": outputs, "loss_of_zeros": zero,
         "loss_of_constant": constant},
    )  # fmt: skip


def _symmetry(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    inner = [
        (name, known)
        for name, known in facts.weights.items()
        if known.layer in facts.layers and not facts.is_aside(known.layer)
    ]
    weighted = {known.layer for _, known in inner}
    layers = [n.name for n in facts.chain if n.name in weighted or n.kind == "Parallel"]
    for layer, after in pairwise(layers):
        own = {name: known for name, known in inner if known.layer == layer}
        # units stay the same if they are given the same, and listened to in the same way
        listening = [k.column_copies for n, k in own.items() if ".weight_hh" in n]
        listening += [k.column_copies for _, k in inner if k.layer == after]
        if not own or not listening:
            continue  # a Parallel, or one listens, in as many ways as it has branches
        same = min(known.copies for known in own.values())
        silent = max(known.std for known in own.values()) == 0
        dead = silent and facts.layers[layer].activation == "relu"
        if facts.layers[layer].kind != "Embedding" and (
            dead or (same >= limits.copies and min(listening) >= limits.copies)
        ):
            name, known = next(iter(own.items()))
            what = "all the same" if known.constant else f"{same:.0%} copies of others"
            return Finding(
                "critical",
                f"the rows of {name} start as {what}, so that these units get the same gradient, "
                "if any, and stay the same",
                cures("initializer"),
                {"copies": same, "std": known.std},
                layer,
                name,
            )
    return None


def _weight_scale(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if any(layer.normalizes for layer in facts.chain):
        return None
    chain = {layer.name: layer.kind for layer in facts.chain}
    laws = {
        name: known.law
        for name, known in facts.weights.items()
        if known.law > 0 and known.layer in chain
    }
    if len(laws) < 2:
        return None
    of_init, _ = facts.decades
    name = max(laws, key=lambda key: abs(math.log(laws[key])))
    law = laws[name]
    outside = not limits.law <= law <= 1 / limits.law
    if not (outside and (abs(of_init) > 1 or not 1e-2 < law < 1e2)):
        return None
    severity = window.severity(limits, not limits.law**3 <= law <= limits.law**-3)
    return Finding(
        severity,
        f"the first weights of {name} have {law:.2g} times the mean square that keeps signals in "
        "size",
        cures("initializer", "normalization"),
        {"law": law, "decades": of_init},
        facts.weights[name].layer,
        name,
    )


def _activation_scale(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    first = window.first
    if not len(first):
        return None
    dense = [layer.name for layer in facts.chain if layer.kind in ("Dense", "Activation")][:-1]
    stds = {n: float(first.output_stds[0, i]) for i, n in enumerate(first.layers) if n in dense}
    stds = {name: std for name, std in stds.items() if math.isfinite(std)}
    if len(stds) < 2:
        return None
    high, low = max(stds, key=stds.__getitem__), min(stds, key=stds.__getitem__)
    if stds[high] <= limits.scale * stds[low]:
        return None  # not even where all are 0
    return Finding(
        window.severity(limits, stds[high] > limits.scale**2 * stds[low]),
        f"outputs of layer {high} have a deviation of {stds[high]:.2g} and those of layer {low} "
        f"one of {stds[low]:.2g}: signals change their size on the way through the layers",
        cures("initializer", "normalization", "residual"),
        {"largest": stds[high], "smallest": stds[low]},
        low if list(stds).index(low) > list(stds).index(high) else high,
    )


def _initial_loss(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    if not len(window.first) or not facts.first_loss > 0:
        return None
    first = window.first
    penalty = facts.penalty(first.tensors, first.sizes, first.weight_norms)
    loss = float(first.losses[0] - penalty[0])
    expected = max(facts.first_loss, facts.constant_loss)
    if facts.target_std > 0:  # good weights make outputs of size 1, whatever the targets' size
        expected *= 1 + min(1 / facts.target_std, limits.targets) ** 2
    if not loss > limits.initial_loss * expected:
        return None
    severity = window.severity_at_birth(limits, loss > limits.initial_loss**2 * expected)
    if severity == "info" and loss > limits.initial_loss_far * expected:
        severity = "warning"  # no good weights start so far off
    return Finding(
        severity,
        f"the first loss is {loss:.3g}, and outputs of size 1 have {expected:.3g}: the first "
        "weights make outputs so large that those which are wrong cost much",
        cures("initializer", "normalization", "normalize_inputs"),
        {"loss": loss, "expected": expected, "ratio": loss / expected},
    )


def _activated_logits(window: Window, facts: Facts, limits: Limits) -> Finding | None:
    last = None if facts.logits is None else facts.layers.get(facts.logits)
    if last is None or last.activation == "identity":
        return None
    return Finding(
        "warning",
        f"layer {last.name} ends in {last.activation}, and the loss takes the sigmoid or softmax "
        "of that once more: not all probabilities can be told",
        cures("loss"),
        {},
        last.name,
    )


ONCE = (1, 1)
RULES = (
    Rule("inputs", "inputs", _inputs, votes=ONCE, lasting=True, at_start=True),
    Rule("targets", "inputs", _targets, votes=ONCE),
    Rule("activated_logits", "loss", _activated_logits, votes=ONCE, lasting=True, at_start=True),
    Rule("symmetry", "init", _symmetry, votes=ONCE, lasting=True, at_start=True),
    Rule("weight_scale", "init", _weight_scale),
    Rule("activation_scale", "init", _activation_scale),
    Rule("initial_loss", "init", _initial_loss),
)
