# Everything that a person does with this checkout. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
DEVSTACK := $(PYTHON) -m devstack
INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE := $(PYTHON) -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	--no-header --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
PACKAGES := common auth_service catalog_service order_service review_service gateway devstack
PIP_TOOLS := 7.6.2
# make test TESTS=tests/common ARGS="-x -k outbox"
TESTS ?=
ARGS ?= -n auto --dist loadfile
ORDERS ?= 10000
FAULTS ?= 150
SEED ?= 1
BUS ?= postgres
SERVICE ?= catalog
CASES ?= 5000
LIVES ?= 500
STEPS ?= 50

help: ## List what make can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

up: $(VENV)/.devstack ## Start the whole store at http://localhost:8000; Ctrl-C stops it (DETACH=1: in the background)
	@$(DEVSTACK) up $(if $(DETACH),--detach)

down: $(VENV)/.devstack ## Stop the running store
	@$(DEVSTACK) down

status: $(VENV)/.devstack ## Show every process, its memory, and whether it is well
	@$(DEVSTACK) status

logs: $(VENV)/.devstack ## Show and follow what the processes say (NAME=order-worker for one)
	@$(DEVSTACK) logs --follow $(NAME)

demo: $(VENV)/.devstack ## Buy, pay, ship and review a book in the running store, step by step
	@$(DEVSTACK) demo

import: $(VENV)/.devstack ## Import books: make import FILE=books.csv (FORMAT=csv, onix or marc, if the file does not tell)
	@test -n "$(FILE)" || { echo "Which file? make import FILE=books.csv"; exit 2; }
	@$(DEVSTACK) import "$(FILE)" $(if $(FORMAT),--format $(FORMAT))

test: $(VENV)/.dev ## Run the tests (TESTS=path, ARGS="pytest's options")
	@$(PYTHON) -m pytest $(ARGS) $(TESTS)

chaos: $(VENV)/.devstack ## A fault storm over a store of its own: make chaos ORDERS=10000 FAULTS=150 SEED=1 BUS=postgres (or rabbitmq)
	@$(DEVSTACK).chaos storm --orders $(ORDERS) --faults $(FAULTS) --seed $(SEED) --bus $(BUS)

chaos-mutants: $(VENV)/.devstack ## Show that the storm finds seeded bugs (BUS=rabbitmq for the other bus)
	@$(DEVSTACK).chaos mutants --bus $(BUS)

fuzz: $(VENV)/.dev ## Make up requests from a service's OpenAPI (SERVICE=catalog, CASES=5000)
	@FUZZ_CASES=$(CASES) $(PYTHON) -m pytest tests/$(SERVICE)/test_conformance.py

states: $(VENV)/.dev ## Lead orders through all that can happen, against a model (LIVES=500, STEPS=50)
	@STATES_EXAMPLES=$(LIVES) STATES_STEPS=$(STEPS) $(PYTHON) -m pytest tests/order/test_state_machine.py

lint: $(VENV)/.dev ## Check style and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy $(PACKAGES)

format: $(VENV)/.dev ## Put the code into its form
	@$(PYTHON) -m ruff check --fix --quiet .
	@$(PYTHON) -m ruff format .

lock: $(VENV)/bin/python ## Pin the newest releases that pyproject.toml allows
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check pip-tools==$(PIP_TOOLS)
	@$(COMPILE) --extra devstack --extra providers --extra dev --output-file requirements/dev.txt pyproject.toml
	@$(COMPILE) --constraint requirements/dev.txt --extra devstack --output-file requirements/devstack.txt pyproject.toml
	@$(COMPILE) --constraint requirements/dev.txt --extra providers --output-file requirements/image.txt pyproject.toml
	@$(COMPILE) --constraint requirements/dev.txt --output-file requirements/run.txt pyproject.toml

# Each file of requirements has all of the one before it; the empty stamps remember what was installed when.
$(VENV)/.devstack: requirements/devstack.txt | $(VENV)/bin/python
	@echo "Installing what requirements/devstack.txt pins ..."
	@$(INSTALL) -r $<
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/bin/python
	@echo "Installing what requirements/dev.txt pins ..."
	@$(INSTALL) -r $<
	@touch $@ $(VENV)/.devstack

$(VENV)/bin/python:
	@for each in python3.13 python3.12 python3.11 python3 python; do \
		if $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$each; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "The store needs Python 3.11 or newer; python3 here is: $$(python3 --version 2>&1)"; exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$found --version) ..."; \
	$$found -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "$$found has no venv or no pip of its own (on Debian and Ubuntu: the package python3-venv)."; exit 1; }

.PHONY: help up down status logs demo import test chaos chaos-mutants fuzz states lint format lock
