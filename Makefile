PYTHON ?= python3
BIN := .venv/bin
CORES ?= 2
CONFIG ?= config/config.yaml
# Of 12,800 modules a run imports a fifth: Python compiles those as it imports them, unless told not to keep that.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile,--no-compile)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(COMPILE) --constraint envs/constraints.txt

.PHONY: quickstart report test test-all lint docs kubernetes clean

quickstart: .venv/ready
	$(BIN)/snakemake --cores $(CORES) --configfile config/quickstart.yaml

report: .venv/ready
	$(BIN)/snakemake report --cores $(CORES) --configfile $(CONFIG)

test: .venv/development
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile -m "not slow"

test-all: .venv/development
	$(BIN)/python -m pytest -n $(CORES) --dist loadfile

lint: .venv/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow/rules
	$(BIN)/snakemake --lint --configfile config/quickstart.yaml

docs: .venv/development
	$(BIN)/mkdocs build --strict

# What runs the workflow, and no more; with what tests, lint and documentation need besides, .venv/development.
.venv/ready: pyproject.toml envs/constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "absynth needs Python 3.11 or later")'
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/development: .venv/ready
	$(INSTALL) --editable '.[test,docs]'
	touch $@

# For the test of its profile, in a folder of its own: Snakemake imports every plugin in .venv at each start.
kubernetes: .venv/ready
	$(INSTALL) --upgrade \
		--target .venv/kubernetes snakemake-executor-plugin-kubernetes snakemake-storage-plugin-fs

clean:
	rm -rf .venv .snakemake
