# kactl. Two commands matter to a newcomer: `make demo` and `make test`; both set everything up by themselves.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMPS := .stamps
LANES := lint unit properties conformance simulation golden netns interop kernel ansible molecule docs

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-lb test test-all bench fuzz corpus clean build $(LANES)

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14
	@echo "lanes         $(LANES)"

setup: $(VENV)/.installed $(STAMPS)/apt ## packages the tests need (apt, when root) and the virtual environment

$(STAMPS)/apt: tests/apt-packages.txt tests/lanes/setup-apt
	@mkdir -p $(STAMPS)
	@tests/lanes/setup-apt tests/apt-packages.txt $@

$(VENV)/.installed: pyproject.toml tests/lanes/setup-venv | $(STAMPS)/apt
	@tests/lanes/setup-venv $(PYTHON) $(VENV)
	@touch $@

demo: setup ## a real keepalived.conf, converted, run by two agents that fail over before your eyes
	@tests/lanes/demo $(BIN)

demo-lb: setup ## three nginx servers behind one address: one dies, traffic moves, it returns (in User Mode Linux where need be)
	@$(BIN)/python tests/demo/load_balancer_start.py

test: setup ## every lane this machine can run, one scenario for each mechanism in the slow ones
	@$(BIN)/python tests/lanes/run.py --quick $(LANES)

test-all: setup ## the full matrices
	@$(BIN)/python tests/lanes/run.py --full $(LANES)

$(LANES): setup
	@$(BIN)/python tests/lanes/run.py --full $@

bench: setup ## benchmarks: figures, and ratios to a peer in the same run
	@$(BIN)/python tests/lanes/run.py --full bench

fuzz: setup ## coverage-guided fuzzing of the lexer and the YAML loader (installs atheris; SECONDS_PER_TARGET=60)
	@$(BIN)/python tests/lanes/run.py --full fuzz

corpus: setup ## convert a folder of keepalived.conf files and back: make corpus CORPUS=dir [INDEX=file.tsv]
	@test -n "$(CORPUS)" || { echo "say which folder: make corpus CORPUS=dir" >&2; exit 2; }
	@$(BIN)/python tests/corpus/run_corpus.py $(if $(INDEX),--index $(INDEX)) $(CORPUS)

build: setup ## the wheel, in dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## everything that make made
	rm -rf $(VENV) .venv-fleet $(STAMPS) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
