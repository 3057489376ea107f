"""What README.md shows runs: Python in one session, commands through the command line."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

import fastgrad as fg
from fastgrad import cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8") if README.exists() else ""
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.skipif(not TEXT, reason="README.md is not beside the tests")


@pytest.fixture
def as_before():
    """Threads and backend as they were, once the session is over."""
    threads, backend = fg.num_threads(), fg.backends.active().name
    yield
    fg.set_num_threads(threads)
    fg.use_backend(backend)


def run_command(line: str) -> None:
    """Run a fastgrad command; see that a make target or a module is there."""
    words = shlex.split(line, comments=True)
    if words[0] == "fastgrad":
        assert cli.main(words[1:]) == 0, line
    elif words[0] == "make" and (ROOT / "Makefile").exists():
        assert re.search(f"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
    elif words[:2] == ["python", "-m"] and (ROOT / words[2].partition(".")[0]).exists():
        assert importlib.util.find_spec(words[2]), line
    else:
        assert words[0] in ("make", "python", "pip"), line


def test_readme(tmp_path, monkeypatch, as_before):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    assert {language for language, _ in BLOCKS} == {"python", "console"}
    session: dict[str, object] = {}
    for language, block in BLOCKS:
        if language == "python":
            # blank lines put the code where it is in the file, for tracebacks
            above = TEXT[: TEXT.index(block)].count("\n")
            exec(compile("\n" * above + block, str(README), "exec"), session)
        else:
            for line in block.splitlines():
                run_command(line)


def test_linked_files_exist():
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not (missing and (ROOT / "docs").exists()), missing
