# Two commands do it all on a machine with Python 3.11 or 3.12 and make: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
ROOMS := adapters benchmarks control dashboards data eventlog features flows gateway outpulse schemas sinks tests

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint types tests generate format requirements bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 16

install: $(VENV)/.installed ## make .venv with the outpulse command

$(VENV)/.installed: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] in ((3, 11), (3, 12)) else "Outpulse needs Python 3.11 or 3.12, this is " + sys.version.split()[0] + "; run: make PYTHON=/path/to/python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: install ## run the whole system on a simulated world and open the dashboard
	$(BIN)/outpulse demo

test: lint types tests ## everything that must hold: lint, types, tests

check: test ## the same as test

lint: install ## ruff
	$(BIN)/ruff check $(ROOMS)
	$(BIN)/ruff format --check $(ROOMS)

types: install ## mypy, strict
	$(BIN)/mypy

tests: install ## pytest, in three processes that share the files
	@rm -rf .shards && mkdir -p .shards/claims; \
	for shard in 0 1 2; do \
		OUTPULSE_TEST_CLAIMS=$(CURDIR)/.shards/claims $(BIN)/python -m pytest -q -p no:cacheprovider > .shards/$$shard.log 2>&1 & \
		running="$$running $$!"; \
	done; \
	failed=0; for one in $$running; do wait $$one || failed=1; done; \
	cat .shards/*.log; exit $$failed

generate: install ## derive schemas/generated anew
	$(BIN)/python -m schemas.derive
	$(BIN)/python -m schemas.pages

format: install ## ruff format and safe fixes
	$(BIN)/ruff check --fix $(ROOMS)
	$(BIN)/ruff format $(ROOMS)

requirements: install ## pin the dependencies anew, without index addresses
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --strip-extras --no-header --allow-unsafe --extra dev --output-file requirements.txt pyproject.toml

bench: install ## replay beside plain DuckDB on the same file
	$(BIN)/outpulse bench

clean: ## remove what was built, never a home with data
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
