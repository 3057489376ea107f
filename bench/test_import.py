"""``import fastgrad`` beside ``import numpy``, each in a fresh interpreter."""

import pytest

from bench.imports import LIMIT, environment, ratio, seconds


@pytest.mark.parametrize("module", ["numpy", "fastgrad"])
def test_import(module, benchmark, tmp_path, request):
    benchmark.group = "import, with the start of the interpreter"
    env = environment(str(tmp_path))
    benchmark.pedantic(seconds, args=(module, env), rounds=10, warmup_rounds=1)
    if module == "fastgrad" and benchmark.stats is not None:
        found = benchmark.extra_info["ratio"] = ratio(10)
        reporter = request.config.pluginmanager.getplugin("terminalreporter")
        reporter.write_line(f"import fastgrad / import numpy: {found:.2f} (at most {LIMIT})")
