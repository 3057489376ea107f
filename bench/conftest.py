"""What all suites share: the two sides, the machine they run on, and how they compare."""

from bench.machine import clear_overrides, libraries, machine, told

CLEARED = clear_overrides()  # before the first import of NumPy

from collections.abc import Callable, Iterator  # noqa: E402
from statistics import median  # noqa: E402
from typing import Any  # noqa: E402

import pytest  # noqa: E402

import fastgrad as fg  # noqa: E402
from bench.cases import SIDES  # noqa: E402

RESULTS: dict[str, dict[str, tuple[float, dict[str, Any]]]] = {}


def _in_use() -> dict[str, str]:
    info = fg.info()
    return {
        **machine(),
        "level": info["level"],
        "threads": str(info["threads"]),
        "libraries": libraries(),
        "cleared": ", ".join(CLEARED) or "nothing was set",
    }


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep the tables as narrow as a terminal, unless other columns are asked for."""
    columns = config.option.benchmark_columns or ["min", "median", "iqr", "rounds"]
    config.option.benchmark_columns = columns


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Keep it with saved results as well."""
    machine_info["fastgrad"] = _in_use()


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each side in turn, its backend in use."""
    before = fg.backends.active().name
    fg.use_backend(SIDES[request.param])
    yield request.param
    fg.use_backend(before)


@pytest.fixture
def timed(benchmark: Any) -> Callable[..., None]:
    """Time a call in a group, for one side, with figures of its work for ``extra_info``."""

    def run(group: str, side: str, call: Callable[[], Any], **work: float) -> None:
        benchmark.group = group
        benchmark.extra_info.update(work)
        benchmark(call)
        if benchmark.stats is None:  # benches are disabled: the call was run once
            return
        seconds = median(benchmark.stats.stats.data)
        rates = {"flops": "GFLOP/s", "bytes": "GB/s"}
        rated = {rates[name]: amount / seconds / 1e9 for name, amount in work.items()}
        benchmark.extra_info.update(rated)
        RESULTS.setdefault(group, {})[side] = seconds, rated

    return run


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many times faster fastgrad is than naive NumPy, group by group, and on what."""
    both = {group: sides for group, sides in RESULTS.items() if set(SIDES) <= set(sides)}
    if not both:
        return
    width = max(map(len, both))
    terminalreporter.section("median time, naive NumPy over fastgrad")
    for group, sides in both.items():
        (slow, _), (fast, rated) = sides["numpy"], sides["fastgrad"]
        rates = ", ".join(f"{rate:.4g} {unit}" for unit, rate in rated.items())
        terminalreporter.write_line(f"{group:<{width}}  {slow / fast:6.2f}x   {rates}")
    terminalreporter.write_line(told("on", _in_use()))
