.DEFAULT_GOAL := help
.PHONY: help demo test lint ruff bench mutants clean env
.NOTPARALLEL:

# finds or downloads uv and runs it; needs nothing but Python
PYTHON ?= python3
UV := $(PYTHON) tools/get_uv.py
# where the caller's environment keeps Python from keeping what it has compiled, each process would
# compile all libraries anew: dbt and Great Expectations take seconds for that
export PYTHONDONTWRITEBYTECODE :=

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

demo: ## embedded database, demo farm, dbt build, summary, growth page
	@$(UV) run --locked anchorline demo run

test: ruff ## lint, Python tests, and the whole build on a throw-away database
	@$(PYTHON) tools/get_chromium.py
	@$(UV) run --locked python tools/lint.py pytest -n 2 --dist loadscope

lint: ruff ## ruff, mypy and sqlfluff
	@$(UV) run --locked python tools/lint.py

ruff:
	@$(UV) run --locked sh -c 'ruff format --check . && ruff check .'

bench: ## how fast it is, measured on a small farm
	@$(UV) run --locked anchorline bench

mutants: ## change the SQL in one place at a time: does a check notice? (half an hour)
	@PYTHONPATH=python $(UV) run --locked python -m devtools.mutants

env: ## print the shell environment in which dbt works, to be evaluated
	@$(UV) run --locked anchorline env

clean: ## stop the server and remove everything that was made here
	@$(PYTHON) tools/clean.py
