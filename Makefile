# `make bench` and `make test` need python3 (3.11 or newer), pip and gcc, nothing else.
PYTHON ?= python3
VENV ?= .venv
BACKENDS ?= onnxruntime,openvino,xla
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# What pip builds the engine from.
ENGINE = pyproject.toml CMakeLists.txt native/CMakeLists.txt $(wildcard native/*/*)

.PHONY: help bench test lint docs cross fuzz nightly faults clean
.DEFAULT_GOAL := help

help:  ## say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

bench: $(VENV)/bench.stamp  ## run the main job: import and run the three networks, and show their memory
	$(VENV)/bin/pelemay bench $(ARGS)

test: $(VENV)/test.stamp  ## run all tests
	$(VENV)/bin/python -m pytest -n auto $(ARGS)

lint: $(VENV)/test.stamp  ## ruff, mypy, import-linter
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

cross: $(VENV)/test.stamp  ## build the engine for 64-bit ARM and test it in qemu-user
	cmake -S . -B build/aarch64 --toolchain native/cmake/aarch64.cmake -DPELEMAY_DEV=ON -DPELEMAY_PYTHON=OFF -DPELEMAY_TESTS=ON
	cmake --build build/aarch64 --parallel
	PELEMAY_CROSS=1 $(VENV)/bin/python -m pytest -n auto tests/native/test_cross.py

FUZZ ?= program stream npy_c onnx compile text plm npy
SECONDS_TO_FUZZ ?= 600

fuzz: $(VENV)/fuzz.stamp  ## ten minutes for each fuzzer, or FUZZ="onnx text", SECONDS_TO_FUZZ=60; needs clang
	cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DPELEMAY_PYTHON=OFF -DPELEMAY_FUZZ=ON -DPELEMAY_SANITIZE=ON
	cmake --build build/fuzz --parallel
	$(VENV)/bin/python tests/fuzz/run.py --seconds $(SECONDS_TO_FUZZ) $(FUZZ)

faults: $(VENV)/test.stamp  ## make faults on purpose, as often as docs/reliability.md says, and print its table
	$(VENV)/bin/python -W ignore benchmarks/faults.py $(ARGS)

nightly:  ## half an hour for each fuzzer, then all faults
	$(MAKE) fuzz SECONDS_TO_FUZZ=1800
	$(MAKE) faults

docs: $(VENV)/docs.stamp  ## build the documentation into docs/_build
	$(VENV)/bin/sphinx-build -W -b html docs docs/_build/html

clean:  ## remove what was made
	rm -rf $(VENV) build docs/_build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/bench.stamp: $(VENV)/bin/python $(ENGINE)
	$(VENV)/bin/python -m pip install --quiet --editable '.[bench,images,$(BACKENDS)]'
	touch $@

# pytest before pelemay's extras: the torch that the tests name is then already there.
$(VENV)/test.stamp: $(VENV)/bin/python $(ENGINE)
	$(VENV)/bin/python -m pip install --quiet --group test --group lint
	$(VENV)/bin/python -m pip install --quiet --editable '.[all]'
	touch $@

$(VENV)/fuzz.stamp: $(VENV)/test.stamp
	$(VENV)/bin/python -m pip install --quiet --group fuzz
	touch $@

$(VENV)/docs.stamp: $(VENV)/bin/python $(ENGINE)
	$(VENV)/bin/python -m pip install --quiet --group docs
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@
