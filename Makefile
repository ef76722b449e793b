# Two commands do everything on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8080
FHIR_VERSION ?= R4
SEEDS ?= 10000
ROUNDS ?= 10
FIRST ?= 0

.PHONY: demo test check test-hapi test-postgres test-browser simulate explore kill-sweep mutants hapi bench lock clean help

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: .venv/run.stamp ## Simulated EHR, Bridge and the web view, with synthetic patients
	@$(BIN)/bridge demo

test: check ## Every test that needs no extra service
	$(BIN)/pytest -q -n 2 --dist loadfile --hypothesis-profile fixed -m "not postgres" --ignore=tests/hapi --ignore=tests/browser
	@echo "Left out: real HAPI (make test-hapi), PostgreSQL (make test-postgres), a browser (make test-browser)."

check: .venv/dev.stamp ## Style, types, import rules
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-hapi: .venv/dev.stamp ## The suite against a real HAPI server; needs Java 17 and Maven
	BRIDGE_REQUIRE_HAPI=1 $(BIN)/pytest -q tests/hapi

test-postgres: .venv/dev.stamp ## The store's contract on PostgreSQL; needs its server binaries
	BRIDGE_REQUIRE_POSTGRES=1 $(BIN)/pytest -q -m postgres tests

test-browser: .venv/dev.stamp ## The web view in Chromium
	BRIDGE_REQUIRE_BROWSER=1 $(BIN)/pytest -q tests/browser

simulate: .venv/dev.stamp ## Seeded runs of everything that can go wrong, SEEDS of them from FIRST on
	$(BIN)/python -m tests.simulation --first $(FIRST) --seeds $(SEEDS)

explore: .venv/dev.stamp ## Tests with arbitrary examples, new ones in each of ROUNDS rounds
	for round in $$(seq $(ROUNDS)); do \
	  $(BIN)/pytest -q -n 2 --dist loadfile -m "hypothesis and not postgres" tests || exit 1; done

kill-sweep: .venv/dev.stamp ## Bridge killed before every single call at a seam, on SQLite and PostgreSQL; 30 minutes
	KILL_EVERY=1 BRIDGE_REQUIRE_POSTGRES=1 $(BIN)/pytest -q tests/kill/test_kill_sweep.py

mutants: .venv/dev.stamp ## Break one safety line after the other and see that a test fails; 15 minutes
	$(BIN)/python -m tests.mutation

hapi: .venv/dev.stamp ## A real HAPI server on 127.0.0.1:8080 to try things on
	$(BIN)/python -m tests.hapi.launcher --fhir-version $(FHIR_VERSION) --port $(PORT)

bench: .venv/dev.stamp ## What intake costs beside the floor of this machine, and memory; 5 minutes
	$(BIN)/python -m benchmarks.intake
	$(BIN)/python -m benchmarks.backfill

lock: .venv/dev.stamp ## Pin every dependency with hashes
	cd requirements && for set in run postgres dev; do \
	  ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-annotate $$set.in -o $$set.txt || exit 1; done

.venv/run.stamp: requirements/run.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ .venv/run.stamp

clean: ## Forget what was built and measured
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/hapi/server/target
