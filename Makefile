# `make run` shows the product, `make test` proves it. Both set themselves up: Python 3.11 or later, make and a package
# registry are all they need. `make help` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
NAME ?= sip
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run demo lab test compiled lint format bench screenshots lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make the virtual environment (the other targets do it by themselves)
	@if [ "$$OPX_INSTALL_PEERS" = 1 ]; then tools/install_peers.sh; fi

$(STAMP): requirements.lock pyproject.toml tools/make_venv.sh
	@tools/make_venv.sh $(VENV)
	@touch $@

run: setup ## A whole site on this machine with a first call; runs until Ctrl-C
	@$(BIN)/opx up --demo

demo: setup ## The same once: exit status 0 when both phones heard each other
	@$(BIN)/opx up --demo --once

lab: setup ## Two homes behind NAT, a gateway and an office LAN in network namespaces; runs until Ctrl-C
	@$(BIN)/opx lab up $(ARGS)

test: setup ## All tests
	@$(BIN)/pytest -n 4 -q $(ARGS)

compiled: setup ## The SIP core compiled into build/compiled, for those with a C compiler: see docs/performance.md
	@$(BIN)/python tools/compile_core.py

lint: setup ## Style, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy src tests bench tools

format: setup ## Put style and format right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## Measure beside peers: make bench NAME=sip ARGS="--quick --check"
	@PYTHONPATH=tests $(BIN)/python bench/$(NAME).py $(ARGS)

screenshots: setup ## Make the pictures of the console in docs/images anew (needs chromium and certutil)
	@PYTHONPATH=tests $(BIN)/python tools/screenshots.py docs/images
	@PYTHONPATH=tests $(BIN)/python tools/handset_screens.py docs/images/handset.svg

lock: ## Lock the dependencies anew (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q \
		--extra dev pyproject.toml -o requirements.lock

clean: ## Remove what the other targets made
	@rm -rf $(VENV) build dist var src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
