"""Rules of health, on measurements that are made up for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_cases import CASES, DEPTH, NEAR, STEPS, STILL, through_time
from synthetic import facts, measured

import fastgrad as fg
from fastgrad.datasets import load_digits
from fastgrad.health.rules import CURES, RULES, Facts, Monitor, name_of
from fastgrad.health.rules.cures import cures
from fastgrad.health.rules.ranking import EXPLAINS, ranked
from fastgrad.health.verdicts import FAMILIES, Verdict

COUPLED = (
    fg.SGD, fg.RMSprop, fg.Adagrad, fg.Adadelta, fg.Adam, fg.Adamax, fg.NAdam, fg.RAdam, fg.LARS,
)  # fmt: skip
DECOUPLED = (fg.AdamW, fg.Lion, fg.LAMB, fg.Muon)


def verdicts(known, steps=STEPS, **changes):
    monitor = Monitor(known)
    monitor.observe(measured(steps, known, **changes))
    return {verdict.rule: verdict for verdict in monitor.verdicts}


def alarms(found):
    return {name for name, verdict in found.items() if verdict.rank}


def test_nothing_is_wrong():
    assert verdicts(facts()) == {}


@pytest.mark.parametrize("rule", NEAR)
def test_a_rule_leaves_alone_what_is_allowed(rule):
    known, changes = NEAR[rule]
    found = verdicts(known, **changes)
    assert rule not in found or found[rule].severity == "info"
    assert not (rule == "never_clipped" and rule in found)


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_what_it_is_for(rule):
    known, changes = CASES[rule]
    found = verdicts(known, **changes)
    assert rule in found
    if rule != "never_clipped":
        assert found[rule].rank
    assert len(found[rule].cause.splitlines()) == 1
    assert found[rule].cures
    assert {name_of(cure) for cure in found[rule].cures} <= CURES.keys()
    assert all(np.ndim(value) == 0 for value in found[rule].evidence.values())


def test_every_rule_is_tested():
    assert CASES.keys() | {"dropout", "overfitting"} == {rule.name for rule in RULES}
    assert NEAR.keys() == CASES.keys()
    assert {rule.family for rule in RULES} == set(FAMILIES)
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("fraction", "layer"), [(0.95, "1"), (0.6, None)])
def test_dropout(fraction, layer):
    layers = dict(facts().layers)
    layers["1"] = replace(layers["1"], kind="Dropout", dropout=fraction)
    found = verdicts(facts(layers=layers), losses=STILL)
    assert (found["dropout"].layer if "dropout" in found else None) == layer


@pytest.mark.parametrize(("last", "told"), [(1.1, ["overfitting"]), (0.87, [])])
def test_overfitting_is_a_remark(last, told):
    known = facts()
    monitor = Monitor(known)
    run = measured(STEPS, known)
    for i, loss in enumerate([1.0, 0.8, 0.9, 1.0, last]):
        monitor.observe(run[24 * i : 24 * (i + 1)])
        monitor.epoch(val_loss=loss)
    monitor.observe(replace(run, steps=run.steps + STEPS))
    assert [v.rule for v in monitor.verdicts] == told
    assert all(v.severity == "info" for v in monitor.verdicts)


def test_a_step_that_failed():
    known = facts()
    monitor = Monitor(known)
    monitor.failed(fg.GradientError("", 0, 2, "2.weight", None))
    (verdict,) = monitor.verdicts
    assert (verdict.rule, verdict.severity) == ("nonfinite", "critical")
    assert (verdict.layer, verdict.tensor, verdict.first_step) == ("2", "2.weight", 0)


def test_what_exploded_before_a_step_failed():
    known, changes = CASES["exploding_depth"]
    monitor = Monitor(known)
    monitor.observe(measured(2, known, **{**changes, "losses": [2.3, 9.0]}))
    assert monitor.verdicts == ()
    monitor.failed(fg.GradientError("", 2, 3, None))
    assert [v.rule for v in monitor.verdicts] == ["exploding_depth", "nonfinite"]


@pytest.mark.parametrize("rule", CASES)
@pytest.mark.parametrize("times", [1e-3, 1e3])
def test_the_unit_of_the_loss_changes_no_verdict(rule, times):
    known, changes = CASES[rule]
    larger = replace(
        known,
        constant_loss=times * known.constant_loss,
        first_loss=times * known.first_loss,
        l2={name: times * value for name, value in known.l2.items()},
        max_norm=times * known.max_norm,
    )
    before = measured(STEPS, known, **changes)
    scaled = ("losses", "gradient_norms", "gradient_max", "delta_norms")
    after = replace(before, **{name: times * getattr(before, name) for name in scaled})
    if "through_time" in changes:
        factors = np.array([times, times, 1])
        after = replace(
            after, through_time={k: v * factors for k, v in before.through_time.items()}
        )
    one, other = Monitor(known), Monitor(larger)
    one.observe(before)
    other.observe(after)
    told = [
        [(v.rule, v.severity, v.layer, v.first_step, v.cures) for v in m.verdicts]
        for m in (one, other)
    ]
    assert told[0] == told[1]
    assert told[0]


def test_one_odd_window_is_not_believed():
    delta = np.full((STEPS, 4), 0.05)
    delta[60:64, 0] = 1e-12
    assert "vanishing_depth" not in verdicts(DEPTH, delta_norms=delta, losses=STILL)


def test_what_has_passed_is_forgotten():
    delta = np.full((400, 4), 0.05)
    delta[4:100, 0] = 1e-12
    known = facts()
    monitor = Monitor(known)
    falling = np.log(10) * np.where(np.arange(400) < 100, 1, 0.5)
    run = measured(400, known, delta_norms=delta, losses=falling)
    monitor.observe(run[:100])
    assert "vanishing_depth" in {v.rule for v in monitor.verdicts}
    monitor.observe(run[100:])
    assert "vanishing_depth" not in {v.rule for v in monitor.verdicts}


@pytest.mark.parametrize(("loss", "told"), [(0.5, ["vanishing_depth"]), (0.05, [])])
def test_a_bad_start_counts_until_it_is_made_good(loss, told):
    delta = np.full((200, 4), 0.05)
    delta[0, 0] = 1e-12
    falling = np.log(10) * np.where(np.arange(200) < 20, 1, loss)
    found = verdicts(facts(), 200, delta_norms=delta, losses=falling)
    assert [name for name, verdict in found.items() if verdict.rank] == told


def test_weights_of_0_are_named_where_no_gradient_arrives():
    known = facts()
    zero = replace(known.weights["2.weight"], std=0.0)
    blocked = replace(known, weights={**known.weights, "2.weight": zero})
    changes = {"delta_norms": [0, 0, 1, 1], "losses": STILL}
    found = verdicts(blocked, **changes)["vanishing_depth"]
    assert "the first weights of 2.weight are all 0" in found.cause
    assert "decades" not in found.cause
    assert name_of(found.cures[0]) == "initializer"
    assert "all 0" not in verdicts(known, **changes)["vanishing_depth"].cause


def test_what_one_layer_does_alone_is_no_matter_of_depth():
    assert "exploding_depth" in verdicts(facts(), delta_norms=[1e4, 1e2, 1e2, 1], losses=STILL)
    assert "exploding_depth" not in verdicts(facts(), delta_norms=[1e4, 9e3, 9e3, 1], losses=STILL)


def test_weights_that_grow_are_not_drawn_to_0():
    known, changes = CASES["weight_decay"]
    grown = 8 * (1 + np.arange(STEPS)[:, None] / 20)
    assert "weight_decay" not in verdicts(known, weight_norms=grown, **changes)


def test_a_number_that_is_none_is_seen_at_once_and_for_good():
    known = facts()
    nonfinite = np.zeros((200, 4))
    nonfinite[150, 2] = 3
    monitor = Monitor(known)
    monitor.observe(measured(200, known, gradient_nonfinite=nonfinite))
    verdict = {v.rule: v for v in monitor.verdicts}["nonfinite"]
    assert verdict.severity == "critical"
    assert (verdict.layer, verdict.tensor) == ("2", "2.weight")
    assert verdict.evidence["elements"] == 3


def test_parts_do_not_matter():
    known, changes = CASES["vanishing_depth"]
    run = measured(STEPS, known, **changes)
    whole, parts = Monitor(known), Monitor(known)
    whole.observe(run)
    for i in range(STEPS):
        parts.observe(run[i : i + 1])
    assert whole.verdicts == parts.verdicts


@pytest.mark.parametrize("size", [1, 100, 700])
def test_parts_of_a_long_run_do_not_matter(size):
    known = facts()
    losses = known.constant_loss * np.where(np.arange(6000) < 3000, 0.1, 3.0)
    run = measured(6000, known, losses=losses)
    whole, parts = Monitor(known), Monitor(known)
    whole.observe(run)
    for i in range(0, 6000, size):
        parts.observe(run[i : i + size])
    assert "loss_diverging" in {verdict.rule for verdict in whole.verdicts}
    assert whole.verdicts == parts.verdicts
    assert whole._looks == parts._looks


def test_steps_of_sequences_of_other_lengths_say_nothing():
    known = facts()
    flow = through_time(0.9)
    for name, array in flow.items():
        flow[name] = np.where(np.arange(len(array))[:, None, None] % 3 > 0, np.nan, array)
    assert "vanishing_time" not in verdicts(known, through_time=flow, losses=STILL)
    unknown = {name: np.full_like(array, np.nan) for name, array in flow.items()}
    assert "vanishing_time" not in verdicts(known, through_time=unknown, losses=STILL)


@pytest.mark.parametrize("length", [1, 3, 10, 50])
def test_when_the_steps_of_an_epoch_are_shown_does_not_matter(length):
    known = facts()
    run = measured(STEPS, known)
    at_once, later = Monitor(known), Monitor(known)
    for end in range(length, STEPS + 1, length):
        ended = {"val_loss": 1 + end / 50, "silent_units": {"0": 0.6 * (end > 20)}}
        at_once.observe(run[end - length : end])
        at_once.epoch(**ended)
        later.epoch(**ended, steps=end)
    later.observe(run[:end])
    assert at_once.verdicts == later.verdicts
    assert not later._epochs
    if length < 50:
        assert "overfitting" in {verdict.rule for verdict in later.verdicts}


def test_memory_is_bounded():
    known = facts()
    monitor = Monitor(known)
    run = measured(500, known)
    for i in range(200):
        monitor.observe(replace(run, steps=run.steps + 500 * i))
    assert len(monitor._losses.means) <= 256
    assert len(monitor._pending or ()) <= 256


def test_time_step_of_a_gradient_that_vanishes():
    known = facts()
    found = verdicts(known, through_time=through_time(0.5), losses=STILL)["vanishing_time"]
    # 2^-10 is the first power below a thousandth
    assert found.time_step == 39 - 10
    assert found.evidence["decades"] == pytest.approx(-39 * np.log10(2))
    assert found.evidence["per_step"] == pytest.approx(0.5)


def test_steps_with_losses_of_their_own_can_do_without_far_ones():
    known = facts(at_each_step=True)
    learns = verdicts(known, through_time=through_time(0.5))
    assert learns["vanishing_time"].severity == "info"
    stuck = verdicts(known, through_time=through_time(0.5), losses=STILL)
    assert stuck["vanishing_time"].rank
    from_above = STILL * np.linspace(2, 1, STEPS)
    falls = verdicts(known, through_time=through_time(0.5), losses=from_above)
    assert falls["vanishing_time"].severity == "info"


def test_causes_come_before_what_they_cause():
    def verdict(rule, family, severity, step=0):
        return Verdict(rule, family, severity, "", first_step=step)

    given = [
        verdict("loss_stuck", "loss", "critical", 60),
        verdict("saturation", "saturated", "warning"),
        verdict("inputs", "inputs", "warning"),
        verdict("vanishing_depth", "vanishing", "critical"),
        verdict("never_clipped", "clipping", "info"),
    ]
    assert [v.rule for v in ranked(given)] == [
        "inputs", "saturation", "vanishing_depth", "loss_stuck", "never_clipped",
    ]  # fmt: skip


def test_what_follows_does_not_prescribe_the_opposite():
    def verdict(rule, severity, *names, step=0):
        return Verdict(rule, "loss", severity, "", cures(*names), first_step=step)

    large = verdict("rate_too_large", "critical", "smaller_learning_rate", "clipping")
    stuck = verdict("loss_stuck", "warning", "larger_learning_rate", "optimizer", step=60)
    assert ranked([stuck, large])[1].cures == cures("optimizer")
    assert ranked([stuck])[0].cures == stuck.cures
    remark = replace(large, severity="info")
    assert ranked([stuck, remark])[0] == stuck
    assert ranked([stuck, remark])[1].cures == cures("clipping")


def test_explanations_name_rules():
    names = {rule.name for rule in RULES}
    assert EXPLAINS.keys() <= names
    assert {other for others in EXPLAINS.values() for other in others} <= names


def test_facts_of_a_trainer():
    model = fg.Sequential(
        fg.Dense(4, 8, "relu"),
        fg.Residual(fg.Dense(8, 8, "tanh")),
        fg.Dense(8, 3, weight_init="zeros"),
        rng=0,
    )
    trainer = fg.Trainer(
        model,
        "cross_entropy",
        fg.Adam(1e-2, weight_decay=0.5),
        clip=fg.ClipNorm(2.0),
        regularizers=fg.L2(1e-3),
    )
    X, y = np.random.default_rng(0).normal(3, 2, (100, 4)), np.arange(100) % 4 // 2
    known = Facts.of(trainer, X, y, batch_size=32)
    assert list(known.layers) == ["0", "1", "1.0", "2"]
    assert [layer.name for layer in known.chain] == ["0", "1", "2"]
    assert known.constant_loss == pytest.approx(np.log(2), rel=1e-5)
    assert known.first_loss == pytest.approx(np.log(3), rel=1e-5)
    assert known.weights["2.weight"].constant
    assert not known.weights["0.weight"].constant
    assert known.l2["0.weight"] == pytest.approx(1e-3)
    assert (known.coupled_decay, known.decay) == (0.5, 0.0)
    assert known.max_norm == 2.0
    assert known.steps_per_epoch == 4
    np.testing.assert_allclose(known.inputs.mean, X.mean(0))
    np.testing.assert_allclose(known.inputs.std, X.std(0))


@pytest.mark.parametrize(
    ("optimizer", "coupled"),
    [
        *((cls(0.1, weight_decay=0.5), True) for cls in COUPLED),
        *((cls(0.1, weight_decay=0.5), False) for cls in DECOUPLED),
        (fg.NAdam(0.1, weight_decay=0.5, decoupled_weight_decay=True), False),
        (fg.RAdam(0.1, weight_decay=0.5, decoupled_weight_decay=True), False),
    ],
)
def test_decay_is_part_of_the_gradient_or_not(optimizer, coupled):
    """It is where a penalty of the same gradient makes the same steps."""
    model = fg.Sequential(fg.Dense(3, 2, bias=False), rng=0, dtype="float64")
    known = Facts.of(fg.Trainer(model, "mse", optimizer))
    assert (known.coupled_decay, known.decay) == ((0.5, 0.0) if coupled else (0.0, 0.5))
    other = fg.Sequential(fg.Dense(3, 2, bias=False), rng=0, dtype="float64")
    without = fg.optimizers.from_config({**optimizer.config(), "weight_decay": 0.0})
    X, y = np.eye(3), np.ones((3, 2))
    a = fg.Trainer(model, "mse", optimizer)
    b = fg.Trainer(other, "mse", without, regularizers=fg.L2(0.25))
    for _ in range(3):  # RAdam's first one is plain gradient descent
        a.step(X, y)
        b.step(X, y)
    # twenty roundings a step, 1e-14 in all, where another kind of decay shows in the first digits
    same = np.allclose(model.params["0.weight"], other.params["0.weight"], rtol=1e-9, atol=0)
    assert same == coupled


def branches(*layers, **options):
    return fg.Sequential(fg.Dense(64, 16), fg.Parallel(*layers), fg.Dense(20, 10), **options)


def test_branches_are_no_chain():
    """They stand beside each other, and a Parallel is one layer of the row that it is in."""
    small = {"weight_init": fg.initializers.normal(1e-3)}
    model = branches(
        fg.Sequential(fg.Dense(16, 8, **small), fg.Dense(8, 8, **small), fg.Dense(8, 10, **small)),
        fg.Dense(16, 10, weight_init="zeros"),
        rng=0,
    )
    known = Facts.of(fg.Trainer(model, "cross_entropy"))
    assert [layer.name for layer in known.chain] == ["0", "1", "2"]
    assert [name for name in known.layers if known.is_aside(name)] == [
        "1.0.0", "1.0.1", "1.0.2", "1.1",
    ]  # fmt: skip
    whole = Facts.of(fg.Trainer(branches(fg.Dense(16, 10), fg.Dense(16, 10), rng=0), "mse"))
    assert known.decades[1] == whole.decades[1] == 0
    assert abs(known.decades[0] - whole.decades[0]) < 0.2  # of the layers 0 and 2 alone
    kept = fg.Parallel(fg.BatchNorm(3), fg.Sequential(fg.Standardize(3), fg.Dense(3, 3)))
    for first, normalized in ((kept, True), (fg.Parallel(kept, fg.Dense(3, 3)), False)):
        trainer = fg.Trainer(fg.Sequential(first, rng=0), "mse")
        assert Facts.of(trainer).normalized == normalized


@pytest.mark.parametrize("silent", [0, 1])
def test_a_branch_that_starts_silent_is_no_symmetry(silent, one_thread):
    """Last layers of zeros, which keep units apart as their own gradients differ."""
    X, y = load_digits()
    ways = [
        fg.Sequential(fg.Dense(64, 32, "tanh"), fg.Dense(32, 10, weight_init="zeros")),
        fg.Dense(64, 10, weight_init="zeros"),
    ]
    model = fg.Sequential(
        fg.Standardize(64), fg.Parallel(*ways[:: 1 - 2 * silent], merge="sum"), rng=0
    )
    options = {"epochs": 8, "batch_size": 64, "progress": False, "rng": 1}
    run = fg.fit(model, X, y, loss="cross_entropy", **options)
    assert (model.predict(X).argmax(-1) == y).mean() > 0.9
    assert not {v.family for v in run.health.verdicts} & {"init", "vanishing", "dead"}


def test_dead_units_of_a_branch_are_found(one_thread):
    X, y = load_digits()
    model = branches(fg.Dense(16, 10, "relu", bias_init=fg.initializers.constant(-99.0)),
                     fg.Dense(16, 10), rng=0)  # fmt: skip
    run = fg.fit(model, X / 16, y, loss="cross_entropy", epochs=3, progress=False, rng=1)
    assert [v.layer for v in run.health.verdicts if v.rule == "dead_units"] == ["1.0"]


def test_facts_of_real_targets():
    trainer = fg.Trainer(fg.Sequential(fg.Dense(2, 1), rng=0), "mse")
    y = np.array([3.0, 5.0, 7.0, 9.0])
    known = Facts.of(trainer, np.eye(4, 2), y)
    assert known.constant_loss == pytest.approx(y.var())
    assert known.first_loss == pytest.approx((y**2).mean())
    assert known.target_std == pytest.approx(y.std())


def test_facts_leave_padding_out():
    model = fg.Sequential(fg.GRU(2, 3, return_sequences=True), fg.Dense(3, 2), rng=0)
    trainer = fg.Trainer(model, "cross_entropy")
    X = np.full((2, 4, 2), 1e6)
    X[0, :2], X[1, :1] = 1, 2
    y = np.zeros((2, 4), int)
    y[0, 0] = 1
    known = Facts.of(trainer, X, y, lengths=[2, 1])
    assert known.inputs.high.tolist() == [2, 2]
    share = 1 / 3
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert known.constant_loss == pytest.approx(entropy, rel=1e-5)
