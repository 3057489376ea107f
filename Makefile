# Everything runs in .venv, which is made anew when the sources change. What is needed is python3
# (3.11 or newer, with venv), make and gcc. `make PYTHON=...` names another interpreter.
PYTHON ?= python3
BIN := .venv/bin
BUILT := .venv/.built
export PATH := $(CURDIR)/$(BIN):$(PATH)
# where these are set they make OpenBLAS pick kernels for another processor
BENCH := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(BIN)/python -m

.PHONY: build demo examples studies test check-cuda bench lint clean
build: $(BUILT)

demo: $(BUILT)
	mkdir -p out
	$(BIN)/fastgrad demo --out out/demo.png

examples: $(BUILT)
	$(BIN)/python -m examples.adding
	$(BIN)/python -m examples.temporal_order
	$(BIN)/python -m examples.copying
	$(BIN)/python -m examples.japanese_vowels
	$(BIN)/python -m examples.shakespeare
	$(BIN)/python -m examples.sunspots

studies: $(BUILT)
	$(BIN)/python -m fastgrad.studies all --out out/studies

test: $(BUILT)
	$(BIN)/python -m pytest

# the cuda backend where there is no GPU
check-cuda: .venv-cuda/.built
	tools/check_cuda

bench: $(BUILT)
	$(BENCH) pytest bench --benchmark-only
	$(BENCH) bench.peers
	$(BENCH) bench.activations
	$(BENCH) bench.backends
	$(BENCH) bench.products
	$(BENCH) bench.sweep
	$(BENCH) bench.gpu
	$(BENCH) bench.health
	$(BENCH) bench.imports
	$(BENCH) bench.latency
	$(BENCH) bench.memory
	$(BENCH) bench.norms
	$(BENCH) bench.optimizers
	$(BENCH) bench.recurrent_threads
	$(BENCH) bench.streaming
	$(BENCH) bench.vanishing

lint: $(BUILT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/cython-lint src

clean:
	rm -rf .venv .venv-cuda build dist out *.egg-info fastgrad/_kernels/*.so
	rm -rf .benchmarks .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Without isolation the objects in build/ are used again, and only what has changed is compiled.
$(BUILT): $(BIN)/python pyproject.toml setup.py $(wildcard src/* src/calls/*)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > .venv/build.txt
	$(BIN)/python -m pip install --quiet --requirement .venv/build.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable '.[plot,info,bench,test,lint]'
	touch $@

# without cuBLAS and its half a gigabyte, which the simulator does without
.venv-cuda/.built: pyproject.toml
	$(PYTHON) -m venv .venv-cuda
	.venv-cuda/bin/python -m pip install --quiet 'numba-cuda[cu13]>=0.30' 'cuda-core>=1' 'safetensors>=0.5' 'tqdm>=4.66' 'pytest>=8' 'hypothesis>=6.100' 'scipy>=1.14'
	touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fastgrad needs Python 3.11 or newer; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
