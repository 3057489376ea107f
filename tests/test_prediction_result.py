"""What `fastgrad.health.predict` takes and gives: data, losses, optimizers, tables, figures."""

import math

import matplotlib
import numpy as np
import pytest

import fastgrad as fg

matplotlib.use("Agg")
predict = fg.health.predict


@pytest.fixture
def model():
    return fg.Sequential(
        *[fg.Dense(32, 32, "tanh") for _ in range(6)], fg.Dense(32, 4), rng=0, dtype="float64"
    )


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((40, 32))


def test_every_parameter_and_layer_has_a_value(model, x):
    prediction = predict(model, x)
    assert list(prediction.gradient_norms) == list(model.params)
    assert list(prediction.spread) == list(model.params)
    names = [str(i) for i in range(7)]
    assert sorted(prediction.q) == sorted(prediction.chi) == sorted(prediction.delta) == names
    assert prediction.delta["6"] == pytest.approx(1)
    assert prediction.gradient_norms["6.bias"] <= 1


def test_nothing_is_run_or_changed(model, x):
    model.forward(x)
    model.backward(np.ones((40, 4)))
    before = model.flat_params.copy(), model.flat_grads.copy()
    predict(model, x, loss="mse", optimizer="adam")
    assert np.array_equal(model.flat_params, before[0])
    assert np.array_equal(model.flat_grads, before[1])


def test_data_counts(model, x):
    shrunk = predict(model, 0.01 * x)
    assert shrunk.gradient_norms["0.weight"] < 0.1 * predict(model, x).gradient_norms["0.weight"]
    # equal rows add up when their gradients agree, which a loss with offset targets shows
    equal = predict(model, np.repeat(x[:1], 40, axis=0))
    assert equal.q["3"] == pytest.approx(predict(model, x).q["3"], rel=0.5)


@pytest.mark.parametrize(
    ("optimizer", "factor"),
    [(fg.SGD(0.1), 0.1), (fg.SGD(0.1, momentum=0.9), 0.1), (fg.SGD(0.2, 0.9, nesterov=True), 0.38)],
)
def test_first_update_of_sgd(model, x, optimizer, factor):
    prediction = predict(model, x, optimizer=optimizer)
    for name, values in model.params.items():
        norm = np.linalg.norm(values)
        expected = factor * prediction.gradient_norms[name] / norm if norm else math.inf
        assert prediction.update_ratios[name] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("optimizer", [fg.Adam(1e-3), fg.Lion(1e-3, weight_decay=0)])
def test_first_update_of_signs(model, x, optimizer):
    prediction = predict(model, x, optimizer=optimizer)
    values = model.params["2.weight"]
    expected = 1e-3 * math.sqrt(values.size) / np.linalg.norm(values)
    assert prediction.update_ratios["2.weight"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "cross_entropy", "binary_cross_entropy"])
def test_losses(model, x, name):
    prediction = predict(model, x, loss=name, optimizer=fg.SGD(0.1))
    rng = np.random.default_rng(1)
    y = rng.standard_normal((40, 4))
    if name == "cross_entropy":
        y = rng.integers(4, size=40)
    elif name == "binary_cross_entropy":
        y = rng.integers(2, size=(40, 4)).astype(float)
    before = model.params["0.weight"].copy()
    fg.Trainer(model, loss=name, optimizer=fg.SGD(0.1)).step(x, y)
    change = np.linalg.norm(model.params["0.weight"] - before) / np.linalg.norm(before)
    assert abs(math.log10(change / prediction.update_ratios["0.weight"])) < 0.15


@pytest.mark.parametrize("optimizer", ["adam", "muon", "lamb", "lars", "adadelta", "rprop"])
def test_every_optimizer_has_a_first_step(model, x, optimizer):
    ratios = predict(model, x, optimizer=optimizer).update_ratios
    assert all(ratio > 0 for ratio in ratios.values())


def test_line_search_is_unknown(model, x):
    assert all(map(math.isnan, predict(model, x, optimizer="lbfgs").update_ratios.values()))


def test_compare(model, x):
    prediction = predict(model, x)
    gradient = np.random.default_rng(2).standard_normal((40, 4))
    model.forward(x)
    model.backward(gradient / np.linalg.norm(gradient))
    measured = {name: float(np.linalg.norm(g)) for name, g in model.grads.items()}
    compared = prediction.compare(measured)
    assert [c.name for c in compared] == list(model.params)
    assert max(abs(c.z) for c in compared) < 5
    far = prediction.compare({"0.weight": 1e6 * measured["0.weight"]})[0]
    assert far.z > 20
    assert prediction.compare({"0.weight": 0.0})[0].z == -math.inf
    assert f"{far.z:+.1f}" in prediction.table({"0.weight": far.measured})
    with pytest.raises(ValueError, match="no parameter 'x'"):
        prediction.compare({"x": 1.0})
    with pytest.raises(ValueError, match="at least 0"):
        prediction.compare({"0.weight": -1.0})


def test_table_names_everything(model):
    prediction = predict(model, optimizer="adam")
    told = prediction.table()
    for name in (*model.params, "update/weight", prediction.sentence, "64 rows"):
        assert name in told
    assert repr(prediction) == f"<Prediction: {prediction.sentence}>"


def test_plot(model, x):
    from matplotlib import pyplot

    axes = predict(model, x).plot({"0.weight": 1.0, "3.weight": 2.0})
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["one and two deviations", "predicted", "measured"]
    assert axes.get_yscale() == "log"
    pyplot.close(axes.figure)


def test_indices_and_flatten():
    model = fg.Sequential(
        fg.Embedding(50, 8), fg.Flatten(4, 8), fg.Dense(32, 16, "relu"), fg.Dense(16, 2), rng=0
    )
    indices = np.random.default_rng(0).integers(50, size=(20, 4))
    for prediction in (predict(model), predict(model, indices)):
        assert all(norm > 0 for norm in prediction.gradient_norms.values())
    assert predict(model).q["2"] == pytest.approx(predict(model, indices).q["2"], rel=0.2)


def test_standardize_is_undone():
    model = fg.Sequential(fg.Standardize(8), fg.Dense(8, 4), rng=0)
    x = 1e3 + 50 * np.random.default_rng(0).standard_normal((30, 8))
    unfitted = predict(model, x).gradient_norms
    model.fit_input(x)
    assert predict(model, x).gradient_norms == pytest.approx(unfitted, rel=1e-4)
    assert predict(model, x).q["0"] == pytest.approx(1, rel=1e-3)


def test_lengths_count_by_their_mean():
    model = fg.Sequential(fg.GRU(4, 8), fg.Dense(8, 2), rng=0)
    x = np.random.default_rng(0).standard_normal((6, 10, 4))
    prediction = predict(model, x, lengths=[4, 6, 5, 5, 5, 5])
    assert len(prediction.memory["0.l0"].norms) == 5
    assert any("mean, 5 steps" in note for note in prediction.notes)


def test_lost_to_the_type_is_said():
    layers = [
        fg.Dense(16, 16, "sigmoid", weight_init=fg.initializers.normal(0.01)) for _ in range(40)
    ]
    prediction = predict(fg.Sequential(*layers, rng=0))
    assert any("float32 cannot hold" in note and "0.weight" in note for note in prediction.notes)
    assert prediction.gradient_norms["0.weight"] > 0


@pytest.mark.parametrize("constant", [0.0, 0.5])
def test_constant_weights_are_predicted_or_said(constant):
    init = fg.initializers.constant(constant)
    layers = [fg.Dense(16, 16, "tanh", weight_init=init) for _ in range(3)]
    prediction = predict(fg.Sequential(*layers, rng=0))
    if constant:
        assert any("deviations away from 0" in note for note in prediction.notes)
    else:
        assert prediction.gradient_norms["0.weight"] == 0
        assert not prediction.trainable


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ({"x": [[1.0, 2.0]]}, ValueError, "32"),
        ({"lengths": [3]}, ValueError, "lengths"),
        ({"steps": 5}, ValueError, "no layer of this model reads sequences"),
        ({"rows": 0}, ValueError, "rows"),
        ({"optimizer": "newton"}, ValueError, "optimizer"),
        ({"loss": "hinge"}, ValueError, "loss"),
    ],
)
def test_bad_input(model, how, error, told):
    with pytest.raises(error, match=told):
        predict(model, **how)


def test_only_models(x):
    with pytest.raises(TypeError, match="expected a Sequential"):
        predict(fg.Dense(2, 2))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (None, TypeError, "expected norms by names of parameters, got NoneType"),
        ("a", TypeError, "expected norms by names of parameters, got str"),
        ({"0.weight": "a"}, TypeError, r"\['0.weight'\]: expected a number, got str"),
        ({"0.weight": True}, TypeError, "expected a number, got bool"),
    ],
)
def test_measurements_that_are_none(model, given, error, told):
    prediction = predict(model)
    with pytest.raises(error, match=told):
        prediction.compare(given)
    if given is not None:
        with pytest.raises(error, match=told):
            prediction.plot(given)


def test_parameters_that_are_not_finite(model):
    model.params["2.weight"][1, 3] = np.nan
    with pytest.raises(ValueError, match=r"2.weight: expected finite values, got nan at \[1, 3\]"):
        predict(model)


def test_rows_given_to_layers_that_need_sequences():
    model = fg.Sequential(fg.LSTM(3, 8), fg.Dense(8, 2), rng=0)
    with pytest.raises(ValueError, match="needs sequences"):
        predict(model, np.zeros((4, 3)))


def test_updates_of_parameters_that_are_0_have_no_ratio():
    model = fg.Sequential(fg.Dense(8, 16, "relu"), fg.Dense(16, 2), rng=0)
    prediction = predict(model, optimizer="adam")
    assert prediction.update_ratios["0.bias"] == math.inf
    row = next(line for line in prediction.table().splitlines() if line.startswith("0.bias"))
    assert row.split()[-1] == "-"
    assert "inf" not in prediction.table()


def test_plot_joins_weights_of_one_kind():
    from matplotlib import pyplot

    blocks = [(fg.Dense(8, 8), fg.BatchNorm(8), fg.Activation("relu")) for _ in range(8)]
    told = predict(fg.Sequential(*[layer for block in blocks for layer in block], rng=0))
    axes = told.plot()
    lines = [line for line in axes.get_lines() if "predicted" in line.get_label()]
    assert [line.get_label() for line in lines] == [
        "predicted, Dense weight", "predicted, BatchNorm weight",
    ]  # fmt: skip
    assert [len(line.get_xdata()) for line in lines] == [8, 8]
    # every point has its name below it
    assert len(axes.get_xticklabels()) == 16
    pyplot.close(axes.figure)
    assert told.kinds["1.weight"] == "BatchNorm"
    residual = [fg.Residual(fg.Dense(8, 8, "relu"), fg.Dense(8, 8)) for _ in range(3)]
    axes = predict(fg.Sequential(*residual, rng=0)).plot()
    assert len(axes.get_lines()) == 2
    pyplot.close(axes.figure)
