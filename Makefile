# Everything a checkout can do. Needs only Python >= 3.11 (with venv) and make; the rest is
# installed into .venv on first use, in the versions of constraints.txt.

PYTHON ?= python3
WORKERS ?= 2
# Errors only; `make QUIET= test` shows all that pip says.
QUIET ?= -qq

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input $(QUIET)

# One thread per test worker: more would have the workers compete for the same cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench certify mutations coefficients clean distclean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: .venv/.native  ## From a formula to a report: writes demo.html
	@$(BIN)/gradsmith report "x * tanh(log(1 + exp(x)))" --against torch.nn.functional.mish -o demo.html

test: lint .venv/.native  ## All checks and all tests
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS)

lint: .venv/.stamp  ## Style, formatting, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/.stamp  ## Format the code and fix what can be fixed without thought
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.native  ## All benchmarks, one after the other
	@for script in benchmarks/[a-z]*.py; do \
	    if [ ! -f "$$script" ]; then echo "There is no benchmark in benchmarks/."; exit 0; fi; \
	    echo "== $$script"; $(BIN)/python "$$script" || exit 1; \
	done

certify: .venv/.stamp  ## Certify the whole catalogue: certificates/ and docs/accuracy.md (hours)
	$(ONE_THREAD) $(BIN)/python scripts/ledger.py

mutations: .venv/.stamp  ## Do the tests notice deliberate errors? (minutes)
	$(ONE_THREAD) $(BIN)/python scripts/mutations.py

coefficients: .venv/.stamp  ## Make the coefficients of the elementary functions anew (minutes; needs Sollya)
	$(BIN)/python scripts/coefficients/generate.py

clean:  ## Remove the demo's report, builds and caches
	rm -rf demo.html build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv as well
	rm -rf .venv

# torch comes first and by itself: it is by far the largest, and a failed download of it is then
# the only thing to repeat. The build tools come from constraints.txt too, hence no isolation.
.venv/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys' 2>/dev/null || { \
	    echo "error: cannot run '$(PYTHON)'. Install Python 3.11 or newer, or name it:" \
	         "make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "error: gradsmith needs Python 3.11 or newer, and '$(PYTHON)' is" \
	         "$$($(PYTHON) --version 2>&1). Name a newer one: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Creating .venv with $$($(PYTHON) --version 2>&1)"
	@$(PYTHON) -m venv .venv
	@echo "Installing torch (large: this can take some minutes)"
	@$(PIP) install -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	@echo "Installing gradsmith and its tools"
	@$(PIP) install -c constraints.txt hatchling editables
	@$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,onnx,transformers]'
	@touch $@

# Optional: without a C++ compiler everything works, small tensors take longer.
.venv/.native: .venv/.stamp $(wildcard src/gradsmith/operator/cpp/*)
	@echo "Compiling the optional native part (half a minute)"
	@$(BIN)/gradsmith build || true
	@touch $@
