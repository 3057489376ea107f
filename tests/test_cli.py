"""The command line: what each command prints and writes, and how errors leave it."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastgrad import cli
from fastgrad.commands import info

ROWS = 120


def write_csv(path: Path, columns: dict[str, list[object]]) -> str:
    """Write columns as a CSV file and return its path as an argument."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return str(path)


@pytest.fixture
def pets() -> dict[str, list[object]]:
    """Return columns from which the last one, a text, is easily learnt."""
    rng = np.random.default_rng(0)
    dog = rng.random(ROWS) < 0.6
    return {
        "kg": np.where(dog, rng.normal(25, 4, ROWS), rng.normal(4, 1, ROWS)).tolist(),
        "fur": rng.choice(["long", "short"], ROWS).tolist(),
        "pet": np.where(dog, "dog", "cat").tolist(),
    }


@pytest.fixture
def prices() -> dict[str, list[object]]:
    """Return columns of which the last one, a quantity, is nearly linear in the others."""
    rng = np.random.default_rng(0)
    size = rng.uniform(20, 200, ROWS)
    town = rng.random(ROWS) < 0.5
    price = 1000 + 30 * size + 2000 * town + rng.normal(0, 20, ROWS)
    return {
        "size": size.tolist(),
        "place": np.where(town, "town", "country").tolist(),
        "price": price.tolist(),
    }


@pytest.fixture
def trained(tmp_path, pets, capsys) -> str:
    """Return the path of a model trained to tell pets apart."""
    model = str(tmp_path / "pets.safetensors")
    data = write_csv(tmp_path / "train.csv", pets)
    train = ["train", data, "--target", "pet", "--out", model, "--hidden", "8", "--quiet"]
    assert cli.main(train) == 0
    capsys.readouterr()
    return model


def read_output(text: str) -> dict[str, list[str]]:
    """Return the columns of a CSV text."""
    header, *rows = csv.reader(io.StringIO(text))
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def test_train_tells_what_it_decided_and_how_well_it_did(tmp_path, pets, capsys):
    data = write_csv(tmp_path / "pets.csv", pets)
    out = tmp_path / "model.safetensors"
    assert cli.main(["train", data, "--target", "pet", "--hidden", "16,8", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "120 rows" in printed
    assert "numeric columns: kg\ntext columns: fur (2 values)\n" in printed
    assert "target: pet, classification into 2 classes" in printed
    assert "training on 96 rows, validating on 24" in printed
    assert "validation: accuracy 100.00%\nalways 'dog': accuracy " in printed
    layers = [line.split() for line in printed.splitlines() if " x " in line]
    assert [line[:5] for line in layers] == [
        ["0", "16", "x", "3", "64"],
        ["1", "8", "x", "16", "136"],
        ["2", "2", "x", "8", "18"],
    ]
    assert all(0 < float(value) < 10 for line in layers for value in line[5:])
    assert out.is_file()


def test_regression_is_scored_in_units_and_predicted_in_units(tmp_path, prices, capsys):
    data = write_csv(tmp_path / "prices.csv", prices)
    model = str(tmp_path / "model.safetensors")
    train = ["train", data, "--target", "price", "--out", model, "--hidden", "", "--lr", "0.02"]
    assert cli.main([*train, "--epochs", "200", "--quiet"]) == 0
    fitted, mean = capsys.readouterr().out.splitlines()
    assert fitted.startswith("validation: RMSE ")
    assert float(fitted.rpartition(" ")[2]) > 0.99
    assert mean.startswith("always the mean ")
    assert float(mean.rpartition(" ")[2]) < 0.1

    assert cli.main(["predict", model, data]) == 0
    printed = capsys.readouterr()
    columns = read_output(printed.out)
    assert list(columns) == ["prediction"]
    np.testing.assert_allclose(np.array(columns["prediction"], float), prices["price"], atol=150)
    assert printed.err.startswith("120 rows: RMSE ")


def test_training_again_with_the_same_seed_predicts_the_same(tmp_path, trained, pets, capsys):
    data = write_csv(tmp_path / "data.csv", pets)
    again = str(tmp_path / "again.safetensors")
    train = ["train", data, "--target", "pet", "--out", again, "--hidden", "8", "--quiet"]
    assert cli.main(train) == 0
    capsys.readouterr()
    outputs = []
    for model in (trained, again):
        assert cli.main(["predict", model, data]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_predict_gives_classes_with_probabilities_and_a_score(tmp_path, trained, pets, capsys):
    data = write_csv(tmp_path / "data.csv", pets)
    assert cli.main(["predict", trained, data]) == 0
    printed = capsys.readouterr()
    columns = read_output(printed.out)
    assert columns["prediction"] == pets["pet"]
    assert all(0.5 <= float(p) <= 1 for p in columns["probability"])
    assert printed.err == "120 rows: accuracy 100.00%\n"


def test_predict_needs_no_target_and_ignores_other_columns(tmp_path, trained, pets, capsys):
    shuffled = {"note": [""] * ROWS, "fur": pets["fur"], "kg": pets["kg"]}
    data = write_csv(tmp_path / "data.csv", shuffled)
    out = tmp_path / "predictions.csv"
    assert cli.main(["predict", trained, data, "--out", str(out)]) == 0
    assert capsys.readouterr() == ("", "")
    assert read_output(out.read_text(encoding="utf-8"))["prediction"] == pets["pet"]


@pytest.mark.parametrize(
    ("label", "reason"), [("", "120 missing values"), ("fox", "'fox' on line 2 is none of")]
)
def test_labels_that_are_unknown_do_not_stop_predictions(
    tmp_path, trained, pets, capsys, label, reason
):
    data = write_csv(tmp_path / "data.csv", pets | {"pet": [label] * ROWS})
    assert cli.main(["predict", trained, data]) == 0
    printed = capsys.readouterr()
    assert read_output(printed.out)["prediction"] == pets["pet"]
    assert printed.err.startswith("not scored: ")
    assert reason in printed.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fur": ["curly"] * ROWS}, "column 'fur': 'curly' on line 2 is none of the 2 values"),
        ({"kg": ["heavy"] * ROWS}, "column 'kg': 'heavy' on line 2 is not a finite number"),
        ({"kg": ["NA"] * ROWS}, "120 missing values"),
    ],
)
def test_rows_that_cannot_be_predicted_are_reported(
    tmp_path, trained, pets, capsys, change, message
):
    data = write_csv(tmp_path / "data.csv", pets | change)
    assert cli.main(["predict", trained, data]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fastgrad: error: ")
    assert message in printed.err


def test_predict_refuses_a_model_without_an_encoding(tmp_path, pets, capsys):
    import fastgrad as fg

    model = tmp_path / "plain.safetensors"
    fg.Sequential(fg.Dense(2, 1), rng=0).save(model)
    assert cli.main(["predict", str(model), write_csv(tmp_path / "data.csv", pets)]) == 2
    assert "holds no column encoding" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["train", "predict"])
def test_a_missing_file_is_reported(tmp_path, capsys, name):
    absent = str(tmp_path / "absent")
    rest = ["--target", "y"] if name == "train" else [absent]
    assert cli.main([name, absent, *rest]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("fastgrad: error: ")
    assert absent in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "dog"], "no column 'dog'; the columns are 'kg', 'fur', 'pet'"),
        (["--target", "pet", "--activation", "step"], "step"),
        (["--target", "pet", "--lr", "1e30"], "diverged at --lr 1e+30, no model is written"),
    ],
)
def test_train_refuses_what_it_cannot_train(tmp_path, pets, capsys, arguments, message):
    data = write_csv(tmp_path / "data.csv", pets)
    out = tmp_path / "model.safetensors"
    assert cli.main(["train", data, "--out", str(out), "--quiet", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("fastgrad: error: ")
    assert message in printed
    assert not out.exists()


def test_one_row_is_not_enough(tmp_path, capsys):
    data = write_csv(tmp_path / "data.csv", {"kg": [4], "pet": ["cat"]})
    assert cli.main(["train", data, "--target", "pet"]) == 2
    assert "1 row, where both training and validation need some" in capsys.readouterr().err


def test_a_network_that_is_too_large_is_reported(monkeypatch, capsys):
    def fail(_):
        raise MemoryError("Unable to allocate 71 GiB")

    monkeypatch.setattr(info, "run", fail)
    assert cli.main(["info"]) == 2
    expected = "fastgrad: error: not enough memory: Unable to allocate 71 GiB\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["tarin"], "invalid choice: 'tarin'"),
        (["train", "data.csv"], "the following arguments are required: --target"),
        (["demo", "--epochs", "0"], "--epochs: expected an integer of at least 1, got '0'"),
        (["demo", "--seed", "x"], "--seed: expected an integer of at least 0, got 'x'"),
        (["demo", "--out", "."], "--out: '.' is a folder"),
        (["demo", "--out", "no/such/a.png"], "--out: there is no folder 'no/such' to write"),
        (["train", "d", "--target", "y", "--lr", "-1"], "expected a number greater than 0"),
        (["train", "d", "--target", "y", "--lr", "fast"], "expected a number greater than 0"),
        (["train", "d", "--target", "y", "--validation", "1"], "a number between 0 and 1, got '1'"),
        (["train", "d", "--target", "y", "--hidden", "8,,4"], "an integer of at least 1, got ''"),
    ],
)
def test_arguments_are_checked_before_any_work(capsys, arguments, message):
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(arguments)
    printed = capsys.readouterr().err
    assert printed.startswith("fastgrad: error: ")
    assert message in printed
    assert printed.endswith(" --help)\n")


def test_an_interrupt_leaves_one_line(monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "run", interrupt)
    assert cli.main(["info"]) == 130
    assert capsys.readouterr() == ("", "fastgrad: interrupted\n")


def run_demo(capsys, *arguments: str) -> str:
    """Run the demo and return what it prints."""
    assert cli.main(["demo", *arguments]) == 0
    return capsys.readouterr().out


def test_check_of_a_healthy_network(tmp_path, pets, capsys):
    data = write_csv(tmp_path / "pets.csv", pets)
    assert cli.main(["check", data, "--target", "pet", "--hidden", "8", "--lr", "0.01"]) == 0
    printed = capsys.readouterr().out
    assert "0.weight" in printed
    assert "warning" not in printed


@pytest.mark.parametrize("arguments", [["--lr", "100"], ["--activation", "sigmoid"]])
def test_check_of_a_sick_network_tries_to_fix_it(tmp_path, prices, capsys, arguments):
    data = write_csv(tmp_path / "prices.csv", prices)
    hidden = ["--hidden", "16,16,16,16,16,16,16,16", "--epochs", "20"]
    assert cli.main(["check", data, "--target", "price", *hidden, *arguments]) == 1
    without = capsys.readouterr().out
    assert "1. " in without
    assert "trials of" not in without
    assert cli.main(["check", data, "--target", "price", *hidden, *arguments, "--fix"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith(without)
    assert "trials of" in printed
    assert "because" in printed


def test_demo_reads_digits_and_draws_the_run(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    figure = tmp_path / "demo.png"
    printed = run_demo(capsys, "--out", str(figure))
    accuracy = printed.partition("test accuracy ")[2].partition("%")[0]
    assert float(accuracy) >= 97
    assert "samples per second" in printed
    assert [line.split()[:5] for line in printed.splitlines() if " x " in line] == [
        ["0", "128", "x", "64", "8,320"],
        ["1", "64", "x", "128", "8,256"],
        ["2", "10", "x", "64", "650"],
    ]
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert f"figure written to {figure}" in printed


def test_demo_without_matplotlib_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    figure = tmp_path / "demo.png"
    printed = run_demo(capsys, "--epochs", "1", "--out", str(figure))
    assert 'pip install "fastgrad[plot]"' in printed.splitlines()[-1]
    assert not figure.exists()


def test_demo_prints_the_same_for_the_same_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def printed(seed: str) -> list[str]:
        lines = run_demo(capsys, "--epochs", "2", "--seed", seed).splitlines()
        return [line for line in lines if "samples per second" not in line]

    first = printed("3")
    assert printed("3") == first
    assert printed("4") != first


def run_module(*arguments: str) -> subprocess.Popen[str]:
    """Start the command line as a program of its own."""
    command = [sys.executable, "-m", "fastgrad", *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


def test_info_as_a_program():
    import fastgrad as fg

    with run_module("info") as program:
        printed, errors = program.communicate()
    assert (program.returncode, errors) == (0, "")
    assert [line.split()[0] for line in printed.splitlines()] == list(fg.info())


@pytest.mark.skipif(os.name != "posix", reason="other systems report a closed pipe differently")
def test_a_reader_that_leaves_early_is_no_error():
    with run_module("info") as program:
        program.stdout.close()
        errors = program.stderr.read()
    assert (program.returncode, errors) == (1, "")
