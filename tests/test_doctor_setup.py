"""Setups made again with other layers, and the cures that do so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import fastgrad as fg
from fastgrad.health.treatment import CURES, Findings, Setup, Trial
from fastgrad.health.treatment.setup import remade
from fastgrad.health.treatment.trial import Material, Rows
from fastgrad.health.verdicts import Verdict

INIT = fg.initializers
BY_NAME = {cure.name: cure for cure in CURES}


def vanishing():
    return Verdict("vanishing_depth", "vanishing", "warning", "it vanishes", ("activation x",))


def findings(*layers, optimizer=None, clip=(), regularizers=(), loss=None, times=None, scale=1.0):
    """What is known of a setup of these layers, trained on rows of 6 features and 6 targets."""
    model = fg.Sequential(*layers, rng=0)
    rng = np.random.default_rng(0)
    X = scale * rng.standard_normal((40, 6) if times is None else (40, times, 6))
    y = 100 + 40 * rng.standard_normal((40, model.outputs))
    setup = Setup(model, optimizer or fg.Adam(1e-2), tuple(clip), tuple(regularizers))
    rows = Rows(X.astype(np.float32), y.astype(np.float32))
    material = Material(loss or fg.MSE(), rows, rows, 20, 8, 1.0, 0)
    trial = Trial(setup, np.ones(10), (vanishing(),), np.array([1.0, 2.0, 3.0, 100.0]))
    return Findings(material, trial)


def dense(activation="relu", **options):
    return (
        fg.Dense(6, 6, activation, **options),
        fg.Dense(6, 6, activation, **options),
        fg.Dense(6, 6),
    )


def variants(name, known):
    return list(BY_NAME[name].apply(known))


def kinds(setup):
    return [type(layer).__name__ for layer in setup.model.layers]


def test_layers_in_other_places_keep_their_parameters():
    model = fg.Sequential(
        fg.Dense(6, 6, "relu"),
        fg.Residual(fg.Dense(6, 6, "tanh"), fg.Dense(6, 6), scale=0.5, learn_scale=True),
        fg.Sequential(fg.BatchNorm(6), fg.Dense(6, 2)),
        rng=0,
    )
    setup = Setup(model, fg.SGD(0.1), (), (fg.L2(0.1, per_layer={"1.0": 0.2, "2.1.weight": 0.3}),))

    def doubled(name, layer):
        if isinstance(layer, fg.Dense) and layer.activation != "identity":
            bare = remade(layer, activation="identity")
            return [(bare, True), (fg.Activation(layer.activation), False)]
        return None

    changed = setup.with_layers(doubled, 1)
    places = {
        "0": "0",
        "1.scale": "2.scale",
        "1.0": "2.0",
        "1.1": "2.2",
        "2.0": "3.0",
        "2.1": "3.1",
    }
    for old, new in places.items():
        names = [name for name in model.params if name == old or name.startswith(f"{old}.")]
        assert names
        for name in names:
            view = changed.model.params[new + name[len(old) :]]
            np.testing.assert_array_equal(view, model.params[name])
    x = np.random.default_rng(0).standard_normal((5, 6))
    np.testing.assert_array_equal(changed.model.predict(x), model.predict(x))
    assert changed.regularizers[0].per_layer == {"2.0": 0.2, "3.1.weight": 0.3}
    assert setup.model is model
    assert len(model.layers) == 3


def test_layers_are_remade_with_their_initializers():
    layer = fg.LSTM(3, 4, bias_init=INIT.chrono(9), num_layers=2, peepholes=True)
    again = remade(layer, num_layers=1)
    assert (again.num_layers, again.peepholes, again.bias_init) == (1, True, layer.bias_init)
    a, b = (fg.Sequential(one, rng=3).flat_params for one in (layer, remade(layer)))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", [fg.RNN, fg.LSTM, fg.GRU, fg.Dense])
def test_layers_without_biases_are_remade_without(cell):
    known = findings(cell(6, 4, bias=False), fg.Dense(4, 6), times=None if cell is fg.Dense else 12)
    made = [setup for name in ("initializer", "activation") for _, setup in variants(name, known)]
    assert made
    for setup in made:
        assert type(setup.model.layers[0]) is cell
        assert not [name for name in setup.model.params if name.startswith("0.bias")]


@pytest.mark.parametrize("forget_bias", [0.0, -2.0, 1.0])
def test_gates_with_a_forget_bias_are_remade_with_it_and_with_others(forget_bias):
    layer = fg.LSTM(6, 4, forget_bias=forget_bias)
    a, b = (fg.Sequential(one, rng=3).flat_params for one in (layer, remade(layer)))
    np.testing.assert_array_equal(a, b)
    known = findings(layer, fg.Dense(4, 6), times=12)
    for name in ("initializer", "forget_bias"):
        (_, first), (_, second) = variants(name, known)
        assert kinds(first) == kinds(second) == ["LSTM", "Dense"]
    chrono = first.model.params["0.bias_ih_l0"].reshape(4, 4)[1]
    assert (chrono >= 0).all()


def everything():
    """A setup on which each cure has something to say, but for those of recurrent layers."""
    return findings(
        fg.Dense(6, 6, "sigmoid", bias_init="ones"),
        fg.Dropout(0.8),
        fg.Dense(6, 6, "sigmoid"),
        fg.Dense(6, 6),
        optimizer=fg.SGD(0.1, weight_decay=0.1),
        clip=[fg.ClipNorm(1e-3)],
        regularizers=[fg.L1(0.1, per_layer={"0": 0.2})],
        scale=50.0,
    )


def in_time():
    return findings(fg.RNN(6, 6), fg.Dense(6, 6), times=12)


@pytest.mark.parametrize("cure", CURES, ids=lambda cure: cure.name)
def test_cures_leave_what_they_are_given_as_it_is(cure):
    recurrent = {"forget_bias": fg.LSTM(6, 6), "lstm": fg.RNN(6, 6)}.get(cure.name)
    known = everything() if recurrent is None else findings(recurrent, fg.Dense(6, 6), times=12)
    before = known.setup.model.flat_params.copy(), repr(known.setup)
    found = list(cure.apply(known))
    assert 1 <= len(found) <= 5
    for what, setup in found:
        assert what
        assert setup is not known.setup
        changed = repr(setup) != before[1]
        assert changed or not np.array_equal(setup.model.flat_params, before[0])
    np.testing.assert_array_equal(known.setup.model.flat_params, before[0])
    assert repr(known.setup) == before[1]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("bias", findings(*dense())),
        ("forget_bias", findings(*dense())),
        ("forget_bias", in_time()),
        ("normalize_inputs", findings(fg.Standardize(6), *dense())),
        ("normalize_inputs", findings(fg.RNN(6, 6, one_hot=True), fg.Dense(6, 6))),
        ("normalize_targets", findings(*dense(), loss=fg.BinaryCrossEntropy())),
        ("normalize_targets", findings(*dense(), fg.Rescale([0.0] * 6, [1.0] * 6))),
        ("no_clipping", findings(*dense())),
        ("less_regularization", findings(*dense())),
        ("less_dropout", findings(*dense())),
        ("optimizer", findings(*dense())),
        ("normalization", findings(fg.Dense(6, 6, "relu"), fg.BatchNorm(6))),
        ("normalization", findings(fg.Dense(6, 6))),
        ("activation", findings(fg.Dense(6, 6))),
        ("residual", findings(fg.Dense(6, 3, "relu"), fg.Dense(3, 6))),
        ("lstm", findings(*dense())),
    ],
)
def test_cures_that_do_not_apply_say_nothing(name, known):
    assert variants(name, known) == []


def test_weights_are_drawn_by_the_law_and_others_are_kept():
    known = findings(fg.BatchNorm(6), *dense(weight_init=INIT.constant(3.0), bias_init="ones"))
    known.setup.model.params["0.weight"][...] = 7
    (_, independent), (_, orthogonal) = variants("initializer", known)
    for setup in (independent, orthogonal):
        assert (setup.model.params["0.weight"] == 7).all()
        for i in (1, 2, 3):
            weight = setup.model.params[f"{i}.weight"]
            assert len(np.unique(weight)) == weight.size
            assert not setup.model.params[f"{i}.bias"].any()
    weight = orthogonal.model.params["1.weight"].astype(np.float64)
    np.testing.assert_allclose(weight @ weight.T, 2 * np.eye(6), atol=1e-6)


def test_inputs_are_standardized_in_front_of_the_same_weights():
    known = findings(*dense(), scale=50.0, regularizers=[fg.L2(0.0, per_layer={"0": 0.1})])
    ((what, setup),) = variants("normalize_inputs", known)
    assert "50" in what.replace("49.", "50").replace("5e+01", "50") or "in size" in what
    assert kinds(setup)[:2] == ["Standardize", "Dense"]
    X = known.material.rows.X
    np.testing.assert_allclose(
        setup.model.predict(X), known.setup.model.predict((X - X.mean(0)) / X.std(0)), rtol=1e-4,
        atol=1e-5,
    )  # fmt: skip
    assert setup.regularizers[0].per_layer == {"1": 0.1}


def test_targets_are_rescaled_and_the_rate_of_plain_steps_with_them():
    known = findings(*dense(), optimizer=fg.SGD(1.0))
    (_, squared), (_, single) = variants("normalize_targets", known)
    y = known.material.rows.y
    assert isinstance(squared.model.layers[-1], fg.Rescale)
    np.testing.assert_allclose(squared.model.layers[-1].mean, y.mean(0), rtol=1e-5)
    np.testing.assert_allclose(squared.optimizer.lr, 1 / np.mean(y.var(0)), rtol=1e-5)
    np.testing.assert_allclose(single.optimizer.lr**2, squared.optimizer.lr, rtol=1e-12)
    ((_, adaptive),) = variants("normalize_targets", findings(*dense()))
    assert adaptive.optimizer.lr == 1e-2


def test_normalization_stands_between_weights_and_activation():
    ((_, setup),) = variants("normalization", findings(*dense("tanh")))
    one = ["Dense", "BatchNorm", "Activation"]
    assert kinds(setup) == [*one, *one, "Dense"]
    ((what, setup),) = variants("normalization", findings(
        fg.LSTM(6, 6, return_sequences=True), *dense("tanh"), times=5))  # fmt: skip
    assert what.startswith("LayerNorm")


def test_residual_blocks_share_the_variance():
    ((_, setup),) = variants("residual", findings(*dense()))
    blocks = setup.model.layers[:2]
    assert kinds(setup) == ["Residual", "Residual", "Dense"]
    np.testing.assert_allclose([block.scale for block in blocks], 2**-0.5)
    wild = fg.Residual(fg.Dense(6, 6, "relu", weight_init="ones"), scale=9.0)
    ((_, setup),) = variants("residual", findings(wild, fg.Dense(6, 6)))
    assert setup.model.layers[0].scale == 1.0
    assert len(np.unique(setup.model.params["0.0.weight"])) > 1


def test_gates_remember_as_long_as_sequences_are():
    found = variants("lstm", in_time())
    assert [kinds(setup)[0] for _, setup in found] == ["LSTM", "GRU"]
    bias = found[0][1].model.params["0.bias_ih_l0"].reshape(4, 6)
    assert (bias[1] >= 0).all()
    assert (bias[1] <= np.log(11)).all()
    np.testing.assert_array_equal(bias[0], -bias[1])
    (_, longest), (_, half) = variants(
        "forget_bias", findings(fg.GRU(6, 6), fg.Dense(6, 6), times=40)
    )
    assert longest.model.params["0.bias_ih_l0"].max() > half.model.params["0.bias_ih_l0"].max()


def test_clips_are_percentiles_of_what_was_measured():
    found = [setup.clip for _, setup in variants("clipping", findings(*dense()))]
    assert [clip[0].max_norm for clip in found] == [71.0, 1.3]


@pytest.mark.parametrize(("warned", "factors"), [(True, {10, 100}), (False, {3, 10})])
def test_rates_are_close_to_that_of_a_setup_with_nothing_wrong(warned, factors):
    known = findings(*dense(), optimizer=fg.SGD(1e-2))
    known = Findings(known.material, replace(known.trial, verdicts=(vanishing(),) * warned))
    for name, sign in (("larger_learning_rate", 1), ("smaller_learning_rate", -1)):
        rates = {setup.optimizer.lr for _, setup in variants(name, known)}
        assert {round(factor**sign * 1e-2, 9) for factor in factors} <= {
            round(rate, 9) for rate in rates
        }
        assert all(sign * rate > sign * 1e-2 for rate in rates)


def test_layers_of_ones_own_are_never_made_anew():
    class Own(fg.Dense):
        """What it takes to be made again, nobody knows."""

        def __init__(self):
            super().__init__(6, 6, "relu")

    own = Own()
    for name in ("initializer", "activation", "residual"):
        for _, setup in variants(name, findings(own, *dense())):
            assert setup.model.layers[0] is own


def test_penalties_shrink_to_nothing():
    found = [setup for _, setup in variants("less_regularization", everything())]
    assert [setup.optimizer.weight_decay for setup in found] == [1e-3, 1e-5, 0]
    assert found[0].regularizers[0].strength == pytest.approx(1e-3)
    assert found[0].regularizers[0].per_layer == {"0": pytest.approx(2e-3)}
    assert found[-1].regularizers == ()
