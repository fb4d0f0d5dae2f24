# Everything a newcomer needs: `make demo`, then `make test`. Only Python >= 3.11 and make have to be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
RUNTIMES := tests/exporting tests/runtime tests/cli/test_opening.py tests/cli/test_export.py
# Tests run in so many processes, each on one thread; those of a file in one process, which share what they set up.
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile
DEMO := src/sparseinst/zoo/demo/nuclei.png

.PHONY: demo test coverage test-data fuzz licences matrix lint format docs test-docs release-check ort clean

demo: $(VENV)/base.stamp
	$(BIN)/sparseinst predict $(DEMO) --out demo --save-json --save-masks
	@echo "Look at demo/nuclei_overlay.png (masks over the image) and demo/nuclei_labels.png (label image)."

# The other runtimes (ONNX Runtime, OpenVINO, NNCF) bring threads of their own; they get a process of their own. With
# COVERAGE=1 it says, too, how much of the package was gone through, and fails below the share in pyproject.toml.
COVERED := $(if $(COVERAGE),--cov=sparseinst --cov-report= --cov-fail-under=0)
test: $(VENV)/dev.stamp
	$(PYTEST) $(RUNTIMES:%=--ignore=%) $(COVERED)
	$(PYTEST) $(RUNTIMES) $(if $(COVERED),$(COVERED) --cov-append)
	$(if $(COVERED),$(BIN)/coverage report --skip-covered --sort=cover)

coverage:
	$(MAKE) test COVERAGE=1

# The tests of the large sets of images, which lie beside the repository, in ../shared/data; without them they are skipped.
test-data: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m data -rs

# A million damaged files for all readers, about 20 minutes of one core; goes on where it was ended.
fuzz: $(VENV)/dev.stamp
	$(BIN)/python benchmarks/fuzz.py

# Everything that is installed has a licence that is known, none the AGPL; .ci/licences.py names the exceptions.
licences: $(VENV)/dev.stamp
	$(BIN)/python .ci/licences.py

matrix: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m matrix

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The manual, as a site in site/: `python -m http.server --directory site` shows it.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict --quiet

# Every block of code of the manual is run, in a fresh folder for each page.
test-docs: $(VENV)/docs.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest manual -n $(WORKERS) --dist load

# Builds wheel and sdist, looks at them, and tries them in empty environments; an hour where PyTorch has to be fetched.
release-check: $(VENV)/dev.stamp
	$(BIN)/python release/check.py

# The files that `sparseinst export --format web` needs, fetched with npm once instead of at each export.
ort: $(VENV)/base.stamp
	$(BIN)/python src/sparseinst/web/ort.py

clean:
	rm -rf $(VENV) demo dist site .coverage .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sparseinst needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/base.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) (PyTorch is a few GB; once)"
	$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) with all that development needs (once)"
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps 'trackers>=2.6'
	@touch $@ $(VENV)/base.stamp

$(VENV)/docs.stamp: pyproject.toml $(VENV)/dev.stamp
	$(PIP) --editable '.[docs]'
	@touch $@
