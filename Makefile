# Everything from a bare Python 3.11 or later: each target makes what it needs, once.
#
#   make demo      profile examples/quickstart.py and write demo.html
#   make compare   six forms of a model, and four places for it: writes models.html and tiers.html
#   make test      all tests
#   make check     what must hold before a commit: lint, format, types, architecture
#   make bench     the budgets, as ratios against a peer or a floor in the same run
#   make planted   shares and energies against meters with a known truth
#   make lock      write constraints.txt anew, from the newest releases
#   make clean     remove all that make made
#
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# setuptools warns at every editable install that a folder named like the package may be imported
# instead of it. Here that folder is the package.
PIP    := PYTHONWARNINGS='ignore:Editable installation' $(BIN)/python -m pip --disable-pip-version-check --quiet
# `pip install --group` came with pip 25.1.
PIP_NEW := "pip>=25.1"

.PHONY: demo compare test check bench planted lock clean
.DEFAULT_GOAL := demo

# An environment stays valid until a requirement or a pin changes.
REQUIREMENTS := pyproject.toml constraints.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "greengen needs Python 3.11 or later, and $(PYTHON) is not: name one, as in  make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@echo "making $(VENV): this takes a minute or two, once"
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.demo: $(REQUIREMENTS) | $(BIN)/python
	$(PIP) install --constraint constraints.txt --editable '.[torch]'
	@touch $@

$(VENV)/.dev: $(REQUIREMENTS) $(VENV)/.demo
	$(PIP) install --constraint constraints.txt $(PIP_NEW)
	$(PIP) install --constraint constraints.txt --group dev
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/greengen profile --force -o demo.greengen --html demo.html --json demo.json --zone DEU -- \
	  $(BIN)/python examples/quickstart.py
	@echo
	@echo "The page: file://$(CURDIR)/demo.html"

compare: $(VENV)/.demo
	$(BIN)/python examples/compare_models.py --zone DEU --html models.html
	$(BIN)/python examples/compare_tiers.py --html tiers.html

test: $(VENV)/.dev
	$(BIN)/pytest --quiet --numprocesses 4 --dist worksteal -m 'not alone'
	$(BIN)/pytest --quiet -m alone

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/pytest --quiet tests/test_architecture.py

bench: $(VENV)/.dev
	$(BIN)/python tests/bench/run.py

planted: $(VENV)/.demo
	$(BIN)/python -m greengen.testing.planted --trials 50
	for counter in energy averaged instant busy; do \
	  $(BIN)/python -m greengen.testing.planted --simulated --trials 200 --counter $$counter || exit 1; done

# Names and versions only: `+cpu` and the like name one machine's build. torch stays at its pin, which
# is raised by hand: where its build for CPUs is not on the index, its newest one brings CUDA along.
lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	grep '^torch==' constraints.txt > $(VENV)-lock/torch.txt
	$(VENV)-lock/bin/python -m pip install --quiet --upgrade $(PIP_NEW)
	$(VENV)-lock/bin/python -m pip install --quiet --constraint $(VENV)-lock/torch.txt --group dev '.[torch]'
	{ echo "# Written by \`make lock\`: what the tests were run with."; \
	  $(VENV)-lock/bin/python -m pip freeze --all --exclude greengen | sed 's/+.*//'; } > constraints.txt
	rm -rf $(VENV)-lock

clean:
	rm -rf $(VENV) $(VENV)-lock build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f demo.greengen demo.html demo.json models.html tiers.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
