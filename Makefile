# All targets set everything up by themselves on first use, in $(VENV).
# To use packages that are installed already (torch is the large one):
#   make test VENV_FLAGS=--system-site-packages
PYTHON ?= python3
VENV ?= .venv
VENV_FLAGS ?=
ARGS ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: build docs reproduce test test-slow

reproduce: $(INSTALLED)
	$(BIN)/avalanche-hsf reproduce $(ARGS)

test: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory docs
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow $(ARGS)

# A wheel and an sdist, into dist/.
build: $(INSTALLED)
	$(BIN)/python -m build

# Into site/; warnings are errors, but not beside --quiet, which mkdocs lets silence them first.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

$(INSTALLED): setup.cfg pyproject.toml
	@echo "Setting up $(VENV); the first time this downloads torch, several GB on Linux."
	$(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@
