"""`fit`: validation, history, callbacks, early stopping, progress."""

from __future__ import annotations

import numpy as np
import pytest
from nets import bits, chain

import fastgrad as fg

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
ALWAYS = ["epoch", "loss", "gradient_norm", "lr", "seconds", "samples_per_second"]


def fit(model=None, x=X, y=Y, **options):
    options = {"loss": "cross_entropy", "epochs": 4, "batch_size": 16, "rng": 0} | options
    return fg.fit(model or chain(5, 8, 3), x, y, **options)


HISTORIES = {
    "plain": ({}, []),
    "a fraction": ({"validation": 0.25}, ["val_loss", "val_accuracy"]),
    "a set": ({"validation": (X[:10], Y[:10])}, ["val_loss", "val_accuracy"]),
    "a list": ({"validation": [X[:10], Y[:10]]}, ["val_loss", "val_accuracy"]),
    "clips": ({"clip": [fg.ClipNorm(1e-9), fg.GradFloor(1e-12)]}, ["clipped", "kept"]),
    "one-hot": ({"y": np.eye(3)[Y], "validation": 0.25}, ["val_loss"]),
    "regression": ({"y": np.eye(3)[Y], "loss": "mse", "validation": 0.25}, ["val_loss"]),
    "weights": ({"sample_weight": np.arange(40), "validation": 0.25}, ["val_loss", "val_accuracy"]),
}


@pytest.mark.parametrize(("options", "more"), HISTORIES.values(), ids=HISTORIES)
def test_history(options, more):
    run = fit(**options)
    assert isinstance(run, fg.Run)
    assert sorted(run.history) == sorted(ALWAYS + more)
    assert {len(values) for values in run.history.values()} == {4}
    assert run.history["epoch"] == [1, 2, 3, 4]
    assert run.history["lr"] == [1e-3] * 4
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert run.history["gradient_norm"][-1] == run.trainer.gradient_norm() > 0
    assert run.history.pop("clipped", [[1.0, 0.0]] * 4) == [[1.0, 0.0]] * 4
    assert all(0 < clip < 1e-6 and floor == 1 for clip, floor in run.history.pop("kept", []))
    for name, values in run.history.items():
        assert all(type(value) in (int, float) and value >= 0 for value in values), name
    assert (run.epoch, run.stopped) == (4, None)


def test_it_is_epochs_of_a_trainer():
    run = fit(optimizer=fg.SGD(0.1), clip=fg.ClipNorm(0.5), sample_weight=np.arange(40))
    trainer = fg.Trainer(chain(5, 8, 3), "cross_entropy", fg.SGD(0.1), fg.ClipNorm(0.5), rng=0)
    losses = [trainer.epoch(X, Y, 16, sample_weight=np.arange(40)) for _ in range(4)]
    assert run.history["loss"] == losses
    assert bits(run.model.flat_params) == bits(trainer.model.flat_params)
    assert run.trainer.steps == trainer.steps == 4 * 3


def test_clips_are_reported_by_epoch():
    """The history has each epoch by itself, the account goes on over all of them."""
    seen = []
    run = fit(
        clip=[fg.ClipNorm(0.1), fg.GradFloor(1e-12)],
        epochs=3,
        callbacks=[lambda run: seen.append(run.trainer.clip_reports()[0])],
        y=np.eye(3)[Y],
        loss="mse",
    )
    clipped, kept = (np.array(run.history[name]) for name in ("clipped", "kept"))
    assert clipped.shape == kept.shape == (3, 2)
    assert not clipped[:, 1].any()
    assert (kept[:, 1] == 1).all()
    assert [report.steps for report in seen] == [3, 6, 9]
    assert [report.acted for report in seen] == pytest.approx(3 * np.cumsum(clipped[:, 0]))
    assert [report.kept_sum for report in seen] == pytest.approx(3 * np.cumsum(kept[:, 0]))
    assert seen[-1].fraction == pytest.approx(clipped[:, 0].mean())
    assert seen[-1].mean_kept == pytest.approx(kept[:, 0].mean())


def test_clips_are_reported_where_steps_are_taken_back():
    """The account counts them, as that of the policy does."""
    x = X.copy()
    x[7] = 3e38
    run = fit(
        chain(5, 8, 3, activation="identity"),
        x,
        clip=fg.ClipNorm(0.1),
        on_nonfinite=fg.RollBack(every=2),
        batch_size=4,
        shuffle=False,
    )
    assert run.history["left_out"] == [1] * 4
    assert run.trainer.steps < 4 * 9 == run.trainer.clip_reports()[0].steps
    assert all(0 <= part <= 1 for (part,) in run.history["clipped"])
    assert all(0 < part <= 1 for (part,) in run.history["kept"])


def test_what_is_held_out_is_not_trained_on():
    seen = []

    class Seen(fg.Layer):
        def forward(self, x, params, train):
            if train:
                seen.append(x[:, 0].copy())
            return x

        def backward(self, dy, params, grads):
            return dy

    rows = np.arange(40.0)[:, None]
    run = fit(fg.Sequential(Seen(), fg.Dense(1, 3), rng=0), rows, Y, validation=0.25)
    trained = np.unique(np.concatenate(seen))
    assert len(trained) == 30
    held = np.setdiff1d(rows, trained)[:, None]
    y = Y[held[:, 0].astype(int)]
    assert run.history["val_loss"][-1] == pytest.approx(run.trainer.evaluate(held, y), rel=1e-6)
    accuracy = (run.model.predict(held).argmax(axis=1) == y).mean()
    assert run.history["val_accuracy"][-1] == accuracy


def test_a_set_of_its_own_is_evaluated():
    run = fit(validation=(X[:7], Y[:7]))
    assert run.history["val_loss"][-1] == run.trainer.evaluate(X[:7], Y[:7])
    assert bits(run.model.flat_params) == bits(fit().model.flat_params)


def test_the_seed_decides():
    def result(**options):
        run = fit(validation=0.25, **options)
        return bits(run.model.flat_params), run.history["val_loss"]

    assert result() == result() == result(rng=np.random.default_rng(0))
    assert result() != result(rng=1)
    assert result(shuffle=False) != result()


def test_no_epochs():
    model = chain(5, 8, 3)
    before = bits(model.flat_params)
    run = fit(model, epochs=0, validation=0.25, callbacks=[lambda run: 1 / 0])
    assert (run.epoch, run.history, run.stopped) == (0, {}, None)
    assert bits(model.flat_params) == before
    assert "0 epochs" in repr(run)


def test_callbacks_are_called_in_order_after_every_epoch():
    calls = []

    def note(name, answer=None):
        def callback(run):
            assert len(run.history["loss"]) == run.epoch
            calls.append((name, run.epoch))
            return answer

        return callback

    run = fit(callbacks=[note("a"), note("b", False), note("c", 1), note("d", "yes")])
    assert calls == [(name, epoch) for epoch in (1, 2, 3, 4) for name in "abcd"]
    assert run.stopped is None


@pytest.mark.parametrize("answer", [True, np.True_])
def test_a_callback_that_returns_true_ends_the_run(answer):
    calls = []
    run = fit(callbacks=[lambda run: answer if run.epoch == 2 else None, calls.append])
    assert (run.epoch, len(run.history["loss"]), len(calls)) == (2, 2, 2)
    assert run.stopped == "a callback stopped it"
    assert "stopped: a callback" in repr(run)


def test_a_callback_may_change_the_rate():
    def halve(run):
        run.trainer.optimizer.lr /= 2

    assert fit(callbacks=[halve]).history["lr"] == [1e-3, 5e-4, 2.5e-4, 1.25e-4]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_what_a_callback_raises_arrives(error):
    model = chain(5, 8, 3)

    def callback(run):
        if run.epoch == 2:
            raise error

    with pytest.raises(error):
        fit(model, callbacks=[callback])
    assert bits(model.flat_params) == bits(fit(epochs=2).model.flat_params)


def scripted(values, **options):
    """A run in which early stopping sees these values; parameters after each epoch."""
    script, params = iter(values), []

    def write(run):
        run.history["val_loss"] = [*run.history.get("val_loss", []), next(script)]
        params.append(run.model.flat_params.copy())

    stopping = fg.EarlyStopping(**options)
    return fit(epochs=len(values), callbacks=[write, stopping]), params, stopping


STOPS = [  # values, options, epochs, best epoch
    ([5, 4, 3, 2, 1], {"patience": 1}, 5, 5),
    ([5, 4, 4, 3, 2], {"patience": 1}, 3, 2),
    ([5, 4, 6, 3, 7, 8, 1], {"patience": 2}, 6, 4),
    ([5, 4.8, 4.4, 4.2], {"patience": 2, "min_delta": 0.5}, 4, 3),
    ([5, 4.8, 4.6, 4.5], {"patience": 2, "min_delta": 0.5}, 3, 1),
    ([1, 2, 3, 4], {"patience": 10}, 4, 1),
]


@pytest.mark.parametrize(("values", "options", "epochs", "best"), STOPS)
@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping(values, options, epochs, best, restore):
    run, params, stopping = scripted(values, restore_best=restore, **options)
    assert (run.epoch, stopping.best_epoch, stopping.best) == (epochs, best, values[best - 1])
    stopped = run.stopped is not None
    assert stopped == (epochs - best >= options["patience"])
    kept = best if restore else epochs
    assert bits(run.model.flat_params) == bits(params[kept - 1])
    if stopped:
        assert f"(epoch {best}) for {options['patience']} epochs" in run.stopped


def test_early_stopping_watches_what_it_is_told():
    stopping = fg.EarlyStopping(patience=1, monitor="seconds", min_delta=1e6)
    for _ in range(2):  # and starts anew with every run
        assert fit(callbacks=[stopping], validation=0.25).epoch == 2
    plain = fg.EarlyStopping(patience=1)
    assert plain.best == np.inf
    run = fit(callbacks=[plain])
    assert plain.best == min(run.history["loss"])
    with pytest.raises(ValueError, match="monitor 'nope' is none of epoch, loss"):
        fit(callbacks=[fg.EarlyStopping(monitor="nope")])


@pytest.mark.parametrize(("progress", "shown"), [(True, True), (False, False), (None, False)])
def test_progress(progress, shown, capsys):
    fit(progress=progress, validation=0.25)
    out, err = capsys.readouterr()
    assert out == ""
    assert bool(err) == shown
    if shown:
        assert "4/4" in err
        for word in ("loss ", "val ", "acc ", "|g| ", "rows/s"):
            assert word in err


def test_progress_shows_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fit()
    assert "4/4" in capsys.readouterr().err


def test_the_run_comes_with_the_error():
    model = chain(5, 8, 3, dtype="float64")

    def spoil(run):
        if run.epoch == 2:
            model.params["1.bias"][...] = np.nan

    with pytest.raises(fg.GradientError) as caught:
        fit(model, callbacks=[spoil])
    run = caught.value.run
    assert (run.epoch, len(run.history["loss"]), run.trainer.steps) == (2, 2, 6)
    assert caught.value.step == 6


@pytest.mark.parametrize("row", [0, 39])
def test_bad_targets_are_found_before_training_wherever_they_are(row):
    model = chain(5, 8, 3)
    before = bits(model.flat_params)
    y = Y.copy()
    y[row] = 3
    for seed in range(10):  # some of these hold the row out
        with pytest.raises(ValueError, match=r"y must lie in \[0, 3\), got 0 to 3"):
            fit(model, y=y, validation=0.5, rng=seed)
    assert bits(model.flat_params) == before


def test_the_best_epoch_is_kept_when_the_epochs_run_out():
    stopping, optimizer, seen = fg.EarlyStopping(100, monitor="loss"), fg.SGD(0.1), []

    def worsen(run):
        seen.append(bits(run.model.flat_params))
        if run.epoch == 2:
            optimizer.lr = 30.0

    run = fit(optimizer=optimizer, callbacks=[worsen, stopping])
    assert stopping.best_epoch < 4
    assert bits(run.model.flat_params) == seen[stopping.best_epoch - 1]


def test_a_stopping_rule_does_not_carry_over():
    stopping, other = fg.EarlyStopping(), chain(5, 8, 3)
    before = bits(other.flat_params)
    fit(callbacks=[stopping])
    fit(other, epochs=0, callbacks=[stopping])
    assert bits(other.flat_params) == before
