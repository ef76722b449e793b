# Two commands do everything on a fresh machine with Python 3.11+ and make: `make demo` and `make test`.
# Another Python has an environment of its own: make test PYTHON=python3.13
PYTHON ?= python3
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
PORT ?= 8080
FHIR_VERSION ?= R4
SEEDS ?= 10000
ROUNDS ?= 10
FIRST ?= 0

.PHONY: demo test check test-hapi test-postgres test-browser test-install compose-check compose-images dist simulate explore kill-sweep mutants hapi bench lock clean help

help: ## This list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/run.stamp ## Simulated EHR, Bridge and the web view, with synthetic patients
	@$(BIN)/bridge demo

test: check ## Every test that needs no extra service
	$(BIN)/pytest -q -n 2 --dist loadfile --hypothesis-profile fixed -m "not postgres and not install" --ignore=tests/hapi --ignore=tests/browser --ignore=tests/compose
	@echo "Left out: real HAPI (make test-hapi), PostgreSQL (make test-postgres), a browser (make test-browser),"
	@echo "the wheel in an environment of its own (make test-install), containers (make compose-check)."

check: $(VENV)/dev.stamp ## Style, types, import rules
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-hapi: $(VENV)/dev.stamp ## The suite against a real HAPI server; needs Java 17 and Maven
	BRIDGE_REQUIRE_HAPI=1 $(BIN)/pytest -q tests/hapi

test-postgres: $(VENV)/dev.stamp ## The store's contract on PostgreSQL; needs its server binaries
	BRIDGE_REQUIRE_POSTGRES=1 $(BIN)/pytest -q -m postgres tests

test-browser: $(VENV)/dev.stamp ## The web view in Chromium
	BRIDGE_REQUIRE_BROWSER=1 $(BIN)/pytest -q tests/browser

test-install: $(VENV)/dev.stamp ## The wheel alone in a new environment (PYTHONS: others to try too); needs a package index
	BRIDGE_REQUIRE_INSTALL=1 BRIDGE_INSTALL_PYTHONS="$(PYTHONS)" $(BIN)/pytest -q -m install tests

compose-check: compose-images ## The compose file run with podman on Debian 12, as root; see tests/compose/README.md
	BRIDGE_REQUIRE_COMPOSE=1 $(BIN)/pytest -q -m compose tests/compose

compose-images: $(VENV)/compose.stamp
	$(BIN)/python -c "from tests.hapi.launcher import built_jar; print(built_jar())" | xargs tests/compose/standins/build

dist: $(VENV)/dev.stamp ## Wheel and source distribution, with what they were tested with, in dist/
	rm -rf dist && $(BIN)/python -m hatchling build -d dist
	cp requirements/run.txt dist/requirements.txt
	cp requirements/postgres.txt dist/requirements-postgres.txt
	cp deploy/systemd/bridge.service dist/
	cd dist && sha256sum * > SHA256SUMS

simulate: $(VENV)/dev.stamp ## Seeded runs of everything that can go wrong, SEEDS of them from FIRST on
	$(BIN)/python -m tests.simulation --first $(FIRST) --seeds $(SEEDS)

explore: $(VENV)/dev.stamp ## Tests with arbitrary examples, new ones in each of ROUNDS rounds
	for round in $$(seq $(ROUNDS)); do \
	  $(BIN)/pytest -q -n 2 --dist loadfile -m "hypothesis and not postgres" tests || exit 1; done

kill-sweep: $(VENV)/dev.stamp ## Bridge killed before every single call at a seam, on SQLite and PostgreSQL; 30 minutes
	KILL_EVERY=1 BRIDGE_REQUIRE_POSTGRES=1 $(BIN)/pytest -q tests/kill/test_kill_sweep.py

mutants: $(VENV)/dev.stamp ## Break one safety line after the other and see that a test fails; 15 minutes
	$(BIN)/python -m tests.mutation

hapi: $(VENV)/dev.stamp ## A real HAPI server on 127.0.0.1:8080 to try things on
	$(BIN)/python -m tests.hapi.launcher --fhir-version $(FHIR_VERSION) --port $(PORT)

bench: $(VENV)/dev.stamp ## What intake costs beside the floor of this machine, and memory; 5 minutes
	$(BIN)/python -m benchmarks.intake
	$(BIN)/python -m benchmarks.backfill

lock: $(VENV)/dev.stamp ## Pin every dependency with hashes
	cd requirements && for set in run postgres dev compose; do \
	  ../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-annotate $$set.in -o $$set.txt || exit 1; done

$(VENV)/run.stamp: requirements/run.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/run.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/run.stamp

$(VENV)/compose.stamp: requirements/compose.txt $(VENV)/dev.stamp
	$(BIN)/pip install --quiet --require-hashes -r requirements/compose.txt
	@touch $@

clean: ## Forget what was built and measured
	rm -rf .venv .venv-* dist .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/hapi/server/target
