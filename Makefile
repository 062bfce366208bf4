# `make` alone lists the targets. The files in .venv are made when a target first needs them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
export PYTHON

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

# ---------------------------------------------------------------------------------------------------------------------

.PHONY: help
help: ## print this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@printf '\nPYTHON=/path/to/python chooses the interpreter (3.11 or newer).\n'

##@ Run

.PHONY: demo
demo: $(VENV)/.local ## start everything, place orders of every kind, check the outcome, stop (private servers)
	@$(BIN)/warren demo

.PHONY: up
up: $(VENV)/.local ## start everything and keep it running; PORT=8090 moves the order API from 8080
	@$(BIN)/warren up $(if $(PORT),--port $(PORT))

.PHONY: down
down: ## stop what `make up` started, from any terminal
	@if [ -x $(BIN)/warren ]; then $(BIN)/warren down; else echo 'Nothing runs: there is no environment yet.'; fi

.PHONY: servers
servers: $(VENV)/.local ## PostgreSQL and RabbitMQ without Docker; NAME="coffee tea": a broker user and a database for each
	@$(BIN)/python -m devtools.servers $(or $(NAME),coffee)

##@ Check

# Every part runs, whatever the ones before it found, and the tests come last: their summary is the last line.
# Images are built where a Docker Engine answers; with WARREN_OWN_ENGINE set, where one can be started (as root).
# Most of a test is waiting, so two at a time take little more than half the time; each worker has servers of its own.
WORKERS ?= 2
# Workers must find the same tests in the same order: one seed for the order of sets in all of them.
test test-long: export PYTHONHASHSEED := 0

.PHONY: test
test: $(VENV)/.dev ## every check and every test but the long ones (private servers, 15 minutes); WORKERS=2 at a time
	@code=0; \
	for part in guards lint types; do $(MAKE) $$part || code=1; done; \
	$(BIN)/python -m tests.images $(if $(WARREN_OWN_ENGINE),,--answering) || [ $$? -eq 77 ] || code=1; \
	$(BIN)/python -m pytest -n $(WORKERS) --durations=15 || code=1; \
	exit $$code

.PHONY: test-long
test-long: $(VENV)/.dev ## the tests that take minutes each: soak, chaos, large tables (15 minutes)
	@$(BIN)/python -m pytest -m long -n $(WORKERS) --durations=15

.PHONY: mutants
mutants: $(VENV)/.dev ## break each guarantee in a copy, one at a time: its test must fail; ONLY=inbox, INSTALLED=1 with wheels
	@$(BIN)/python -m tests.mutants $(if $(ONLY),--only '$(ONLY)') $(if $(INSTALLED),--installed)

.PHONY: test-packages
test-packages: $(VENV)/.dev ## conformance tests with the library and the engine installed as wheels; TESTS=tests/faults
	@$(BIN)/python -m tests.packages $(or $(TESTS),tests/conformance)

.PHONY: e2e-operator
e2e-operator: $(VENV)/.dev ## the operator's scenarios on the Kubernetes API server that KUBECONFIG names
	@$(BIN)/python -m tests.kubernetes.e2e

.PHONY: e2e
e2e: $(VENV)/.dev ## the whole system on the cluster that KUBECONFIG names, or on kind; see docs/kubernetes.md
	@$(BIN)/python -m tests.e2e

.PHONY: lint
lint: $(VENV)/.dev ## style, formatting, and rules of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

.PHONY: types
types: $(VENV)/.dev ## mypy, strict
	@$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## bring the code into the project's format, and fix what ruff can fix
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

# Here and not among the tests, because with operator/__init__.py Python itself no longer starts in this folder.
# The letters in brackets keep the patterns from finding themselves.
HOSTS := pyp[i]\.org|pythonh[o]sted\.|npmj[s]\.|proxy\.gol[a]ng|deb\.debi[a]n
PATHS := (^|[^[:alnum:]])/(w[o]rk/(main|shared|steering|\.library)|r[o]ot/\.)

.PHONY: guards
guards: ## files that must not exist, and texts that no file may have
	@code=0; \
	for file in operator/__init__.py $$(find tests -name __init__.py); do \
	  [ ! -e $$file ] || { echo "guards: $$file must not exist (CONTRIBUTING.md, \"Layout\")"; code=1; }; \
	done; \
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then \
	  ! git grep -nIE '$(HOSTS)' || { echo 'guards: a registry is named above; the machine chooses its own'; code=1; }; \
	  ! git grep -nIE '$(PATHS)' || { echo 'guards: a path of one machine is named above'; code=1; }; \
	fi; \
	[ $$code -ne 0 ] || echo 'guards: all well'; \
	exit $$code

##@ Deliver

.PHONY: images
images: $(VENV)/.local ## build every image with Docker; TAG=dev PREFIX=warren SERVERS=1 NETWORK=host DOCKER=docker
	@$(BIN)/python -m devtools.images $(if $(TAG),--tag $(TAG)) $(if $(PREFIX),--prefix $(PREFIX)) \
	  $(if $(SERVERS),--servers) $(if $(NETWORK),--network $(NETWORK)) $(if $(DOCKER),--docker $(DOCKER))

.PHONY: images-test
images-test: $(VENV)/.dev ## build a service's image and check it in a confined container; starts a Docker Engine where none answers
	@$(BIN)/python -m tests.images

.PHONY: dist
dist: $(VENV)/.dev ## build wheel and sdist of the library and the engine into dist/, and check them in empty environments
	@$(BIN)/python -m devtools.distributions

##@ Maintain

# uv lives in an environment of its own, which is thrown away. Both files name packages and hashes, never a registry.
OWN := warren warren-messaging broker-topology
COMPILE := $(OWN:%=--no-emit-package %) --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make requirements'

.PHONY: crds
crds: $(VENV)/.local ## write operator/crds and the table in docs/topology.md from the model
	@$(BIN)/python -m topology_operator crd >operator/crds/topologies.yaml.new
	@mv operator/crds/topologies.yaml.new operator/crds/topologies.yaml
	@cp operator/crds/topologies.yaml charts/warren/charts/topology-operator/crds/topologies.yaml
	@$(BIN)/python -m topology_operator reference | sed -i -e '/^<!-- fields -->$$/,/^<!-- end of fields -->$$/{//!d}' \
	  -e '/^<!-- fields -->$$/r /dev/stdin' docs/topology.md

.PHONY: chart-golden
chart-golden: $(VENV)/.dev ## write tests/charts/golden.yaml: what the chart renders when nothing is set
	@$(BIN)/python -m tests.charts.golden

.PHONY: services
services: $(VENV)/.dev ## write the blocks of compose.yaml and other files that list the services
	@$(BIN)/python -m devtools.service_blocks

.PHONY: settings
settings: $(VENV)/.dev ## write docs/settings.md, and the table of docs/messaging/settings.md
	@$(BIN)/python -m devtools.settings_page

.PHONY: reference
reference: $(VENV)/.dev ## write docs/messaging/reference.md from the docstrings of the messaging library
	@$(BIN)/python -m devtools.reference_page

.PHONY: dashboards
dashboards: $(VENV)/.dev ## write charts/warren/dashboards from devtools/dashboards
	@$(BIN)/python -m devtools.dashboards

.PHONY: pictures
pictures: $(VENV)/.dev ## draw dashboards, warren top and warren trace into docs/pictures, during a load with faults (6 minutes)
	@$(BIN)/python -m tests.pictures

.PHONY: manifests
manifests: $(VENV)/.dev ## write k8s/warren and k8s/definitions from the chart, with the tests' Helm or HELM=helm
	@helm=$${HELM:-$$($(BIN)/python -c 'from tests.charts.helm import RELEASES, program; print(program(RELEASES[-1]))')}; \
	$(BIN)/python -m devtools.manifests --helm "$$helm"

.PHONY: generate
generate: crds services settings reference dashboards manifests chart-golden ## write every file that follows from others

.PHONY: requirements
requirements: ## pin the dependencies of all three pyproject.toml; UPGRADE=1 takes the newest versions
	@python=$$(devtools/environment.sh python); \
	folder=$$(mktemp -d); \
	trap 'rm -rf "$$folder"' EXIT; \
	"$$python" -m venv "$$folder"; \
	"$$folder/bin/python" -m pip --disable-pip-version-check --no-input --quiet install uv==$(UV_VERSION); \
	compile() { "$$folder/bin/uv" pip compile pyproject.toml $(COMPILE) $(if $(UPGRADE),--upgrade) "$$@"; }; \
	compile --extra local --group build --output-file requirements.txt; \
	compile --extra local --group dev --constraints requirements.txt --output-file requirements-dev.txt; \
	compile --extra service --extra http --extra email --constraints requirements.txt \
	  --output-file requirements-services.txt; \
	compile --extra operator --constraints requirements.txt --output-file requirements-operator.txt; \
	grep -c == requirements*.txt

.PHONY: clean
clean: ## stop this checkout's instances; remove .venv, caches, and their data; name what other checkouts share
	@python=$$(devtools/environment.sh python) && "$$python" -m devtools.local.clean
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------------------
# The environment. Each step writes a marker file when it has succeeded; make repeats the step when a dependency is newer.
# An incomplete or moved .venv, or one of another Python, is created again.

INTACT := $(shell PYTHON='$(PYTHON)' devtools/environment.sh intact && echo yes)
ifneq ($(INTACT),yes)
.PHONY: $(VENV)/.created
endif

$(VENV)/.created:
	@devtools/environment.sh create
	@touch $@

$(VENV)/.packages: requirements.txt $(VENV)/.created
	@devtools/environment.sh install requirements.txt
	@touch $@

$(VENV)/.local: pyproject.toml operator/pyproject.toml services/shared/messaging/pyproject.toml $(VENV)/.packages
	@devtools/environment.sh project
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.local
	@devtools/environment.sh install requirements-dev.txt
	@touch $@
