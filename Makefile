# Every target makes .venv by itself first, and again only when pyproject.toml has changed.
#
#   make demo        index the standard library, ask two questions        make lint     ruff and mypy, nothing is changed
#   make test        everything but the slow tests                        make format   let ruff rewrite the code
#   make test-all    everything                                           make bench    run every benchmark
#   make test-quick  a cross-section, some three minutes                  PYTHON=…      another interpreter (3.11 or newer)
#   make clean       remove environments, builds and caches               VENV=…        another environment than .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Files of tests side by side; JOBS=0 runs all in one process.
JOBS ?= 2
SIDE_BY_SIDE = -n $(JOBS) --dist loadfile

.PHONY: help demo test test-all test-quick lint format bench clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.ready-demo
	@$(BIN)/langgraph-rlm demo

test: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

test-all: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest

test-quick: $(VENV)/.ready-dev
	@$(BIN)/python -m pytest -m "quick and not slow" $(SIDE_BY_SIDE)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy integrations
	$(BIN)/mypy examples

format: $(VENV)/.ready-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Files that start with an underscore are what benchmarks share. One that fails does not stop the others.
bench: $(VENV)/.ready-dev
	@failed=0; \
	for file in benchmarks/[!_]*.py; do \
	    [ -e "$$file" ] || { echo "There are no benchmarks yet."; break; }; \
	    echo; echo "=== $$file"; \
	    $(BIN)/python "$$file" || failed=1; \
	done; \
	exit $$failed

clean:
	rm -rf $(VENV) .venv-3.* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- setting up -----------------------------------------------------------------------------------------------------
# The stamp is written last: whatever is interrupted is done again. The demo does without the tools of the tests.

$(VENV)/.ready-demo: WANTED := -e '.[cli,chroma,openai]'
$(VENV)/.ready-dev: WANTED := -e '.[all]' --group dev

$(VENV)/.ready-demo $(VENV)/.ready-dev: pyproject.toml
	@$(find_python)
	@echo "Setting up $(VENV) (once; about a minute) …"
	@$(make_venv)
	@$(find_uv); "$$uv" pip install --quiet --python $(BIN)/python $(WANTED)
	@touch $@

# Stops with one line that says what to do when the interpreter cannot be used.
define find_python
command -v "$(PYTHON)" >/dev/null 2>&1 || { \
    echo "$(PYTHON) is not there. Install Python 3.11 or newer, or name one: make PYTHON=python3.12 …" >&2; exit 1; }; \
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
    echo "$$("$(PYTHON)" -V 2>&1) is too old: 3.11 or newer is needed. Name another: make PYTHON=python3.12 …" >&2; exit 1; }; \
"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
endef

# An environment that works stays, also one that was made by hand. The mark stands while one is being made.
define make_venv
[ ! -e $(VENV)/.half-made ] && "$(BIN)/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
    rm -rf $(VENV) && mkdir $(VENV) && touch $(VENV)/.half-made && \
    "$(PYTHON)" -m venv $(VENV) && rm $(VENV)/.half-made; }
endef

# pip takes minutes to resolve what uv resolves in seconds. A uv without dependency groups is too old.
define find_uv
uv="$$(command -v uv || echo $(BIN)/uv)"; \
"$$uv" pip install --help 2>/dev/null | grep -q -e --group || { \
    uv=$(BIN)/uv; \
    $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; \
    $(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade uv || exit 1; }
endef
