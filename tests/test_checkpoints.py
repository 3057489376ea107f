"""`Checkpoint` and `resume`: a run goes on as if it had never been interrupted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from nets import bits

import fastgrad as fg
from fastgrad import checkpoints, schedules
from fastgrad.callbacks import CSVLog, JSONLog
from fastgrad.data import FileRows

pytestmark = pytest.mark.usefixtures("one_thread")

X = np.random.default_rng(0).standard_normal((90, 5)).astype(np.float32)
Y = np.random.default_rng(1).integers(3, size=90)


class StoppedError(Exception):
    """What ends a run in these tests."""


def make(dtype="float32"):
    return fg.Sequential(
        fg.Dense(5, 16, "relu"), fg.BatchNorm(16), fg.Dropout(0.3), fg.Dense(16, 3), rng=7,
        dtype=dtype,
    )  # fmt: skip


def stop_at(count):
    """A callback that ends the run at its call number `count`, as an error would."""
    calls = iter(range(1, 1000))

    def stop(run):
        if next(calls) == count:
            raise StoppedError

    return stop


OPTIONS = {
    "plain": {},
    "sgd": {"optimizer": fg.SGD(0.1, momentum=0.9, nesterov=True)},
    "clipped": {"clip": [fg.ClipNorm(0.5), fg.ClipValue(0.1)]},
    "adaptive": {"clip": [fg.AGC(), fg.AutoClip(50, window=7), fg.ZClip(warmup=3)]},
    "adaptive clips": {"clip": [fg.AutoClip(), fg.ZClip(warmup=3), fg.AGC()]},
    "noise": {"clip": fg.GradientNoise(0.1), "optimizer": fg.NAdam()},
    "penalized": {
        "regularizers": [fg.L1(1e-4), fg.L2(1e-3, per_layer={"0": 0.0})],
        "constraints": fg.MaxNorm(1.0),
        "optimizer": fg.RAdam(),
    },
    "muon": {"optimizer": fg.Muon(), "loss": fg.CrossEntropy(label_smoothing=0.1)},
    "lamb": {"optimizer": fg.LAMB(), "per_layer": {"3": {"weight_decay": 0.1}}},
    "scheduled": {"schedule": schedules.Warmup(5) * schedules.Cosine()},
    "plateau": {"schedule": schedules.ReduceOnPlateau(0.5, patience=0), "validation": 0.3},
    "average": {"average": 0.9, "validation": 0.3},
    "accumulated": {"accumulate": 3},
    "layers": {"per_layer": {"0": {"lr": 1e-4}}, "optimizer": fg.Adam(1e-2)},
    "roll back": {"on_nonfinite": fg.RollBack(every=3)},
    "skip": {"on_nonfinite": "skip"},
    "given": {"validation": (X[:20], Y[:20])},
    "weighted": {"sample_weight": np.linspace(0.5, 1.5, 90)},
    "ordered": {"shuffle": False, "loss": fg.CrossEntropy(class_weight=[1, 2, 3])},
    "mt19937": {"rng": np.random.Generator(np.random.MT19937(3))},
    "philox": {"rng": np.random.Generator(np.random.Philox(3))},
    "sfc64": {"rng": np.random.Generator(np.random.SFC64(3))},
}


def started(path, options, stop=None, dtype="float32", every_steps=2):
    """A run of four epochs of eight steps, and its result; `stop` ends it earlier."""
    settings = {"loss": "cross_entropy", "rng": 3, **options}
    if not isinstance(settings["rng"], int):  # each run needs one of its own
        settings["rng"] = np.random.Generator(type(settings["rng"].bit_generator)(3))
    callbacks = [fg.EarlyStopping(patience=50), fg.Checkpoint(path, every_steps=every_steps)]
    if stop is not None:
        callbacks.append(stop)
    return fg.fit(
        make(dtype), X, Y, epochs=4, batch_size=12, callbacks=callbacks, progress=False, **settings
    )


def resumed(path, options, **changes):
    given = {name: options[name] for name in ("sample_weight",) if name in options}
    if isinstance(options.get("validation"), tuple):
        given["validation"] = options["validation"]
    given |= {"callbacks": [fg.EarlyStopping(patience=50), fg.Checkpoint(path, every_steps=2)]}
    return fg.resume(path, X, Y, progress=False, **{**given, **changes})


def outcome(run):
    """Everything that must be the same, bit for bit."""
    history = {
        name: values
        for name, values in run.history.items()
        if name not in ("seconds", "samples_per_second")
    }
    arrays = {name: bits(array) for name, array in run.trainer.arrays().items()}
    return arrays, history, run.trainer.steps, run.epoch, run.stopped


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_ended_within_an_epoch_goes_on(name, tmp_path, monkeypatch):
    """Every checkpoint of a run, in its turn, is the last one."""
    options = OPTIONS[name]
    path = tmp_path / "run.safetensors"
    written = []
    save = checkpoints.save

    def keep(run, where):
        save(run, where)
        written.append(where.read_bytes())

    monkeypatch.setattr(checkpoints, "save", keep)
    expected = outcome(started(path, options))
    assert len(written) > 4  # some within epochs
    monkeypatch.setattr(checkpoints, "save", save)
    for content in written:
        path.write_bytes(content)
        assert outcome(resumed(path, options)) == expected


def test_files_too(tmp_path, monkeypatch):
    """In windows of 16 rows, several of them in an epoch."""
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    rows = FileRows(tmp_path / "x.npy", tmp_path / "y.npy", block_bytes=8 * 20, window_blocks=3)
    path = tmp_path / "run.safetensors"
    written = []
    save = checkpoints.save

    def keep(run, where):
        save(run, where)
        written.append(where.read_bytes())

    monkeypatch.setattr(checkpoints, "save", keep)
    callbacks = [fg.Checkpoint(path, every_steps=2)]
    options = {"epochs": 3, "batch_size": 12, "callbacks": callbacks, "progress": False}
    expected = outcome(fg.fit(make(), rows, loss="cross_entropy", rng=3, **options))
    monkeypatch.setattr(checkpoints, "save", save)
    assert len(written) > 3
    for content in written:
        path.write_bytes(content)
        again = [fg.Checkpoint(path, every_steps=2)]
        assert outcome(fg.resume(path, rows, callbacks=again, progress=False)) == expected


def test_batches_cannot_be_read_again(tmp_path):
    batches = [(X[:9], Y[:9])]
    callbacks = [fg.Checkpoint(tmp_path / "run.safetensors")]
    with pytest.raises(ValueError, match="data that can be read again"):
        fg.fit(make(), batches, loss="cross_entropy", epochs=1, callbacks=callbacks)


def test_float64_too(tmp_path):
    path = tmp_path / "run.safetensors"
    expected = outcome(started(path, {}, dtype="float64"))
    with pytest.raises(StoppedError):
        started(path, {}, stop_at(2), dtype="float64")
    callbacks = [fg.EarlyStopping(patience=50), fg.Checkpoint(path), stop_at(9)]
    assert outcome(resumed(path, {}, callbacks=callbacks)) == expected


def test_a_finished_run_is_returned_as_it_is(tmp_path):
    path = tmp_path / "run.safetensors"
    expected = outcome(started(path, {}))
    assert outcome(resumed(path, {})) == expected


def test_more_epochs_than_at_first(tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, {})
    run = resumed(path, {}, epochs=6)
    assert (run.epoch, run.trainer.steps, len(run.history["loss"])) == (6, 48, 6)


def test_a_run_that_stopped_early_stays_stopped(tmp_path):
    path = tmp_path / "run.safetensors"
    callbacks = [fg.EarlyStopping(patience=1, min_delta=100.0), fg.Checkpoint(path)]
    run = fg.fit(make(), X, Y, loss="cross_entropy", epochs=9, callbacks=callbacks)
    assert run.epoch == 2
    again = [fg.EarlyStopping(patience=1, min_delta=100.0), fg.Checkpoint(path)]
    other = fg.resume(path, X, Y, callbacks=again)
    assert (other.stopped, other.epoch) == (run.stopped, 2)
    assert bits(other.model.flat_params) == bits(run.model.flat_params)


def test_a_checkpoint_is_a_model_file(tmp_path):
    path = tmp_path / "run.safetensors"
    callbacks = [fg.Checkpoint(path)]
    run = fg.fit(make(), X, Y, loss="cross_entropy", epochs=2, callbacks=callbacks)
    model = fg.load(path)
    assert bits(model.predict(X)) == bits(run.model.predict(X))


@pytest.mark.parametrize(("mode", "best"), [("min", min), ("max", max)])
def test_the_best_model_is_kept(mode, best, tmp_path):
    path, kept = tmp_path / "run.safetensors", tmp_path / "best.safetensors"
    seen = {}

    def look(run):
        seen[run.history["val_loss"][-1]] = run.model.predict(X)

    keep = fg.Checkpoint(path, best=kept, mode=mode)
    fg.fit(
        make(), X, Y, loss="cross_entropy", optimizer=fg.SGD(0.5), validation=0.3, average=0.5,
        epochs=8, callbacks=[look, keep], rng=0,
    )  # fmt: skip
    assert keep.best_value == best(seen)
    assert bits(fg.load(kept).predict(X)) == bits(seen[keep.best_value])


def test_an_error_while_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    expected = outcome(started(path, {}))
    done = []
    replace = os.replace

    def failing(source, target):
        done.append(target)
        if len(done) == 5:
            raise OSError("disk full")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="disk full"):
        started(path, {})
    assert os.listdir(tmp_path) == [path.name]
    assert outcome(resumed(path, {})) == expected


def test_what_a_killed_process_left_is_removed(tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, {})
    (tmp_path / ".run.safetensors.abc_4xyz").write_bytes(b"half")
    (tmp_path / ".run.safetensors.notes").write_bytes(b"mine")
    (tmp_path / ".other.safetensors.abc").write_bytes(b"of another")
    resumed(path, {})
    assert sorted(os.listdir(tmp_path)) == [
        ".other.safetensors.abc",
        ".run.safetensors.notes",
        path.name,
    ]


BAD = {
    "no file": (lambda p: resumed(p.with_name("none"), {}), FileNotFoundError, "no file"),
    "a model": (
        lambda p: (make().save(p), resumed(p, {})), ValueError, "is a model without a run"
    ),
    "other rows": (lambda p: fg.resume(p, X + 1, Y, callbacks=fresh(p)), ValueError, "X, y, s"),
    "other targets": (
        lambda p: fg.resume(p, X, (Y + 1) % 3, callbacks=fresh(p)), ValueError, "X, y, s"
    ),
    "fewer rows": (lambda p: fg.resume(p, X[1:], Y[1:], callbacks=fresh(p)), ValueError, "X, y, s"),
    "weights": (
        lambda p: resumed(p, {}, sample_weight=np.ones(90)), ValueError, "sample_weight"
    ),
    "validation": (
        lambda p: resumed(p, {}, validation=(X, Y)), ValueError, "takes no validation"
    ),
    "callbacks": (lambda p: resumed(p, {}, callbacks=[]), ValueError, "callbacks must be"),
    "epochs": (lambda p: resumed(p, {}, epochs=2), ValueError, "epochs must be at least 4"),
}  # fmt: skip


def fresh(path):
    return [fg.EarlyStopping(patience=50), fg.Checkpoint(path)]


@pytest.mark.parametrize("case", BAD)
def test_resume_refuses(case, tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, {}, every_steps=None)
    attempt, error, message = BAD[case]
    with pytest.raises(error, match=message):
        attempt(path)


def test_validation_that_was_given_must_be_given_again(tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, OPTIONS["given"])
    with pytest.raises(ValueError, match="needs validation"):
        resumed(path, {})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fg.Checkpoint("x", every_epochs=0), ValueError, "every_epochs must be at least 1"),
        (lambda: fg.Checkpoint("x", every_steps=0), ValueError, "every_steps must be at least 1"),
        (lambda: fg.Checkpoint("x", mode="less"), ValueError, "mode must be one of auto, min, max"),
        (
            lambda: started(Path("no/folder/x"), {}),
            FileNotFoundError,
            "there is no folder",
        ),
        (
            lambda: fg.fit(
                make_plain(), X, Y, loss="cross_entropy", callbacks=[monitoring("accuracy")]
            ),
            ValueError,
            "monitor 'accuracy' is none of",
        ),
    ],
)
def test_bad_checkpoints_are_refused(make, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        make()


def make_plain():
    return fg.Sequential(fg.Dense(5, 3), rng=0)


def monitoring(name):
    return fg.Checkpoint("x", best="y", monitor=name)


def test_the_best_accuracy_is_the_highest(tmp_path):
    keep = fg.Checkpoint(tmp_path / "run", best=tmp_path / "best", monitor="val_accuracy")
    run = fg.fit(make(), X, Y, loss="cross_entropy", validation=0.3, epochs=5, callbacks=keep)
    assert keep.best_value == max(run.history["val_accuracy"])


def test_a_first_epoch_without_a_number_is_not_the_best(tmp_path):
    keep = fg.Checkpoint(tmp_path / "run", best=tmp_path / "best", monitor="mine")
    values = iter([np.nan, 3.0, np.nan, 2.0])
    note = lambda run: run.record(mine=next(values))  # noqa: E731
    fg.fit(make(), X, Y, loss="cross_entropy", epochs=4, callbacks=[note, keep])
    assert keep.best_value == 2


def test_numbers_of_numpy_are_kept(tmp_path):
    path = tmp_path / "run"
    options = {"per_layer": {"0": {"lr": np.float32(0.01)}}, "validation": np.float64(0.3)}
    callbacks = [lambda run: run.record(mine=np.float32(1), list=np.ones(2)), fg.Checkpoint(path)]
    fg.fit(make(), X, Y, loss="cross_entropy", epochs=1, callbacks=callbacks, **options)
    run = fg.resume(path, X, Y, callbacks=[lambda run: None, fg.Checkpoint(path)])
    assert run.history["mine"] == [1]


def test_what_cannot_be_made_again_is_refused_at_the_start(tmp_path):
    class Mine(fg.SGD):
        pass

    model = make()
    before = bits(model.flat_params)
    options = {"optimizer": Mine(0.1), "callbacks": fg.Checkpoint(tmp_path / "run")}
    with pytest.raises(ValueError, match="optimizer: expected one of"):
        fg.fit(model, X, Y, loss="cross_entropy", epochs=1, **options)
    assert bits(model.flat_params) == before


def test_logs_have_each_epoch_once(tmp_path):
    path = tmp_path / "run"

    def callbacks(last):
        logs = [log(tmp_path / log.__name__) for log in (CSVLog, JSONLog)]
        return [*logs, fg.Checkpoint(path, every_epochs=3), last]

    def stop(run):
        if run.epoch == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        fg.fit(make(), X, Y, loss="cross_entropy", epochs=8, callbacks=callbacks(stop))
    with pytest.raises(StoppedError):  # the same function; from epoch 3 it comes to 5 again
        fg.resume(path, X, Y, callbacks=callbacks(stop))
    rows = (tmp_path / "CSVLog").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == [1, 2, 3, 4, 5]
    lines = (tmp_path / "JSONLog").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3, 4, 5]


def test_another_validation_set_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, OPTIONS["given"])
    with pytest.raises(ValueError, match="X, y, sample_weight, lengths and"):
        resumed(path, {"validation": (X[:20] + 1, Y[:20])})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_steps_left_out_before_a_resume_are_counted(tmp_path, monkeypatch):
    """The first minibatch of every epoch overflows; every checkpoint is resumed."""
    x = X.copy()
    x[0] = 3e38
    path, written, save = tmp_path / "run.safetensors", [], checkpoints.save

    def keep(run, where):
        save(run, where)
        written.append(where.read_bytes())

    monkeypatch.setattr(checkpoints, "save", keep)
    options = {"epochs": 2, "batch_size": 12, "shuffle": False, "on_nonfinite": "skip", "rng": 0}
    callbacks = [fg.Checkpoint(path, every_steps=3)]
    run = fg.fit(make(), x, Y, loss="cross_entropy", callbacks=callbacks, **options)
    assert run.history["left_out"] == [1, 1]
    monkeypatch.setattr(checkpoints, "save", save)
    for content in written:
        path.write_bytes(content)
        again = fg.resume(path, x, Y, callbacks=[fg.Checkpoint(path, every_steps=3)])
        assert outcome(again) == outcome(run)


def test_the_numbers_are_json(tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, {"average": 0.9, "validation": 0.2})
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        note = json.loads(file.metadata()["fastgrad_training"])
    assert note["epoch"] == 4
    assert note["trainer"]["optimizer"]["name"] == "Adam"


@pytest.mark.parametrize("when", [5, 16])
def test_health_goes_on_with_the_steps_that_follow(when, tmp_path, monkeypatch):
    """What they leave behind is what those of a run that was not interrupted did."""
    path = tmp_path / "run.safetensors"
    written = {}
    save = checkpoints.save

    def keep(run, where):
        save(run, where)
        written[run.trainer.steps] = where.read_bytes()

    monkeypatch.setattr(checkpoints, "save", keep)
    whole = started(path, {}, every_steps=1).health.measurements
    monkeypatch.setattr(checkpoints, "save", save)
    path.write_bytes(written[when])
    found = resumed(path, {}).health.measurements
    assert found.steps.tolist() == list(range(when, 32))
    for name in ("losses", "gradient_norms", "weight_norms", "update_norms", "delta_norms"):
        assert bits(getattr(found, name)) == bits(getattr(whole, name)[when:]), name


def test_health_that_fit_was_not_to_measure(tmp_path):
    path = tmp_path / "run.safetensors"
    started(path, {"health": False})
    assert resumed(path, {}, epochs=5).health is None


def test_a_run_that_had_learned_is_not_stuck_when_it_goes_on(tmp_path):
    """Its losses are near their end then, and the file is more than a window of it."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (1200, 8)).astype(np.float32)
    paths = tmp_path / "x.npy", tmp_path / "y.npy"
    for path, array in zip(paths, (x, x[:, :1] + x[:, 1:2] ** 2), strict=True):
        np.save(path, array)
    rows = FileRows(*paths, block_bytes=8 * 36, window_blocks=32)
    model = fg.Sequential(fg.Dense(8, 32, "relu"), fg.Dense(32, 1), rng=0)
    keep = fg.Checkpoint(tmp_path / "run.safetensors")
    run = fg.fit(
        model, rows, loss="mse", optimizer=fg.Adam(3e-3), epochs=60, batch_size=64, progress=False,
        rng=0, callbacks=[keep],
    )  # fmt: skip
    assert run.health.ok
    more = fg.resume(keep.path, rows, callbacks=[keep], epochs=64, progress=False)
    assert more.trainer.steps - run.trainer.steps > 2 * 30  # those that a run is given to learn
    assert more.health.ok
    losses = more.health._losses.state()
    assert losses["length"] * len(losses["means"]) + len(losses["rest"]) == more.trainer.steps
