# Each target does its own set-up once. A fresh clone needs make, python3 with venv, and a C++ compiler.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
MODEL := .local/models/default
UV_VERSION := 0.13.9
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --quiet
# Compiled once, as pip does it, not in every process where Python may not write: a start takes a second, not four.
INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
unexport UV_PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup setup-train demo test lint up down status bundle bench-main bench-engine bench-model chaos fuzz lock clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## Make .venv with everything that is locked in requirements/dev.txt.

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@PYTHON=$(PYTHON) sh ops/local/prerequisites.sh
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@echo "installing the locked packages (hnswlib is compiled, half a minute) …"
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@$(INSTALL) --no-deps -e .
	@touch $@

setup-train: $(VENV)/.trains ## Add what training needs to .venv: torch and its friends, 3 GB.

$(VENV)/.trains: $(VENV)/.installed requirements/train.txt
	@echo "installing torch and what else trains, 3 GB …"
	@$(INSTALL) --require-hashes -r requirements/train.txt
	@touch $@

bundle: $(MODEL)/manifest.json ## Build the default model bundle from published weights.

$(MODEL)/manifest.json: $(VENV)/.installed
	@$(BIN)/python ops/local/servers.py tools --only java --only mvn
	@$(BIN)/python -m model.default $(MODEL)
	@touch $@

demo: setup bundle ## Real products through Kafka, the encoder and Redis: FILE=… for your own, KEEP=1 keeps the servers.
	@$(BIN)/python ops/demo/demo.py $(if $(FILE),--file "$(FILE)") $(if $(KEEP),--keep)

test: lint bundle ## Lint, types, imports, and all tests on real Kafka and Redis; those of models, which only compute, beside.
	@OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python -m pytest tests/model >.local/model-tests.log 2>&1 & models=$$!; \
	$(BIN)/python -m pytest --ignore=tests/model; others=$$?; \
	wait $$models; models=$$?; cat .local/model-tests.log; test $$others -eq 0 -a $$models -eq 0

lint: setup-train ## Style, types, import rules, and known vulnerabilities of the locked packages.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python ops/audit.py

up: setup ## Start Kafka, Redis and Prometheus on 127.0.0.1.
	@$(BIN)/python ops/local/servers.py up

down: ## Stop them.
	@test ! -x $(BIN)/python || $(BIN)/python ops/local/servers.py down

status: ## Say what runs.
	@test ! -x $(BIN)/python || $(BIN)/python ops/local/servers.py status

bench-main: setup bundle ## Measure the pipeline against its limits; the last line is JSON.
	@$(BIN)/python ops/bench/main.py

bench-engine: setup ## Measure the neighbour engine against others, 20 minutes at most; the last line is JSON.
	@$(BIN)/python ops/bench/engine.py --plot docs/cost-model.svg --json .local/bench-engine.json

bench-model: setup-train bundle ## Train the recipes unless that is done, in an hour, and measure them; the last line is JSON.
	@$(BIN)/python ops/bench/model_quality.py --json .local/bench-model.json --plots .local/bench-model

CHAOS := SEED KILLS REDIS_FAULTS BROKER_FAULTS NETWORK_FAULTS MINUTES ONLY TIMES
chaos: setup ## Break everything by the hundred, see that nothing is lost: KILLS=… REDIS_FAULTS=… MINUTES=…, or ONLY=flush.
	@$(BIN)/python ops/chaos/suite.py $(foreach name,$(CHAOS),$(if $($(name)),--$(shell echo $(name) | tr A-Z_ a-z-) "$($(name))"))

fuzz: setup ## Send 100,000 sound and spoilt events, and account for each: SEED=…, EVENTS=….
	@$(BIN)/python ops/fuzz/fuzzing.py $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS))

lock: setup ## Lock all requirements anew.
	@$(COMPILE) --upgrade -o requirements/serving.txt
	@$(COMPILE) --upgrade --extra dev -o requirements/dev.txt
	@$(COMPILE) --upgrade --extra gpu --override requirements/gpu-overrides.in -o requirements/gpu.txt
	@$(COMPILE) --upgrade --extra train --extra dev -c requirements/dev.txt -o requirements/train.txt

clean: down ## Stop the servers and remove what was made or fetched.
	@rm -rf $(VENV) .local dist
