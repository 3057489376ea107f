"""Check what is in an sdist and a wheel: ``python tools/check_dist.py SDIST WHEEL``."""

import sys
import tarfile
import zipfile
from pathlib import Path

MOST_BYTES = 3_000_000
ROOT = Path(__file__).parents[1]
IN_SDIST = (
    *("src/", "tests/", "bench/", "examples/", "tools/", "docs/", "fastgrad/"),
    *("setup.py", "Makefile"),
)


def check_sdist(path: Path) -> list[str]:
    """Say what is wrong with the files of an sdist."""
    with tarfile.open(path) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    lacking = [part for part in IN_SDIST if not any(name.startswith(part) for name in names)]
    built = [name for name in names if name.endswith((".c", ".so", ".pyd", ".pyc"))]
    return [f"lacks {part}" for part in lacking] + [f"holds {name}, a built file" for name in built]


def check_wheel(path: Path) -> list[str]:
    """Say what is wrong with the files of a wheel."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    size = path.stat().st_size
    print(f"{path.name}: {size:,} bytes, {len(names)} files")
    wrong = [f"has more than {MOST_BYTES:,} bytes"] if size > MOST_BYTES else []
    needed = {source.relative_to(ROOT).as_posix() for source in (ROOT / "fastgrad").rglob("*.py")}
    wrong += [f"lacks {name}" for name in sorted(needed.difference(names))]
    sources = (".c", ".h", ".pyx", ".pxd")
    foreign = [name for name in names if name.endswith(sources) or not name.startswith("fastgrad")]
    return wrong + [f"holds {name}" for name in foreign]


def main() -> int:
    """Print what is wrong; the exit status is 1 where anything is."""
    sdist, wheel = map(Path, sys.argv[1:])
    wrong = [f"{sdist.name} {what}" for what in check_sdist(sdist)]
    wrong += [f"{wheel.name} {what}" for what in check_wheel(wheel)]
    print("\n".join(wrong) or "both hold what they should")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
