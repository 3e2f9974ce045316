# `make bench` and `make test` need python3 (3.11 or newer), pip and gcc, nothing else.
PYTHON ?= python3
VENV ?= .venv
BACKENDS ?= onnxruntime,openvino,xla
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# What pip builds the engine from.
ENGINE = pyproject.toml CMakeLists.txt native/CMakeLists.txt $(wildcard native/*/*)

.PHONY: help bench test lint docs cross fuzz clean
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

fuzz: $(VENV)/test.stamp  ## damage programs for ten minutes, under ASan and UBSan; needs clang
	cmake -S . -B build/fuzz -DCMAKE_C_COMPILER=clang -DPELEMAY_PYTHON=OFF -DPELEMAY_FUZZ=ON -DPELEMAY_SANITIZE=ON
	cmake --build build/fuzz --parallel
	PYTHONPATH=tests $(VENV)/bin/python tests/support/corpus.py build/fuzz/corpus
	cd build/fuzz && native/fuzz_program -max_total_time=$(or $(SECONDS_TO_FUZZ),600) -max_len=32768 -timeout=20 corpus

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

$(VENV)/docs.stamp: $(VENV)/bin/python $(ENGINE)
	$(VENV)/bin/python -m pip install --quiet --group docs
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@
