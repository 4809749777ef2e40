# Everything a developer runs. `make` alone explains itself.
# CI (.ci/run) calls the same targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
LOCKS := deploy/requirements
LOCK_INPUTS := setup.cfg pyproject.toml $(LOCKS)/dev.txt
# One more than the two cores of the machine this is measured on: a test often waits for what it started.
WORKERS ?= 3
# Hundreds of processes are started from the sources: each would compile them again.
export PYTHONDONTWRITEBYTECODE :=
ARGS ?=

.PHONY: help
help: ## Show this list
	@printf 'Engineshed. Targets (needs Python >= 3.11; the first one used makes %s):\n\n' $(VENV)
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nOptions go in ARGS: make demo ARGS=--once\n'

.PHONY: venv
venv: $(STAMP) ## Make .venv from the hashed lock and install the three commands into it

# Two makes at once: the second waits for the lock and finds the work done.
$(STAMP): $(LOCK_INPUTS)
	@exec 9>.venv.lock; if command -v flock >/dev/null; then flock 9; fi; \
	for input in $(LOCK_INPUTS); do [ $@ -nt $$input ] || stale=1; done; \
	[ -n "$${stale:-}" ] || exit 0; \
	deploy/make-venv $(VENV) $(LOCKS)/dev.txt; \
	touch $@

.PHONY: demo
demo: $(STAMP) ## Portal, vendor, sample engine and updater on this machine; stays up (ARGS=--once: exits)
	@$(BIN)/engineshed-server demo $(ARGS)

.PHONY: demo-real
demo-real: $(STAMP) ## The same with a real Java application (needs Java >= 17 and npm; ARGS=--once: exits)
	@$(BIN)/python -m tests.e2e.real_engine $(ARGS)

.PHONY: check
check: $(STAMP) ## ruff, mypy strict for Linux and Windows, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 packages client
	$(BIN)/lint-imports --config setup.cfg --no-cache

.PHONY: test
test: check ## check, then all tests (ARGS goes to pytest)
	$(BIN)/pytest -n $(WORKERS) $(ARGS)

.PHONY: bench
bench: $(STAMP) ## Measure memory, polls, downloads, ingest, pages; prints tables (ARGS=polls: one topic)
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: bench-slow
bench-slow: $(STAMP) ## Polls while 500 slow headers, 500 slow bodies and 100 slow downloads are held (needs nginx)
	@$(BIN)/python -m tests.bench slow

.PHONY: crash-server
crash-server: $(STAMP) ## Kill the server at every mutating system call of an ingest (as root, with strace; ARGS="--sample 12")
	@$(BIN)/python -m tests.crash $(ARGS)

.PHONY: screenshots
screenshots: $(STAMP) ## Write every page, light and dark, to docs/screenshots/ (needs chromium; ARGS=users: one page)
	@$(BIN)/python -m tests.browser.screenshots $(ARGS)

.PHONY: golden
golden: $(STAMP) ## Write the golden files of the formats anew (old ones are kept)
	@$(BIN)/python -m tests.golden $(ARGS)

.PHONY: client
client: $(STAMP) ## Build the updater as one file, build/client/engineshed-client.pyz (ARGS="--runtime FOLDER")
	@$(BIN)/python deploy/build_client.py $(ARGS)

.PHONY: units
units: $(STAMP) ## Write deploy/*.service anew from the templates that `service install` uses
	@$(BIN)/python deploy/render_units.py $(ARGS)

.PHONY: migration
migration: $(STAMP) ## Draft a database migration from the models: make migration ARGS="add orders"
	@$(BIN)/python deploy/draft_migration.py $(ARGS)

# No index host may get into the locks: they are used with any mirror.
LOCK := $(BIN)/uv pip compile setup.cfg --quiet --universal --generate-hashes --python-version 3.11 \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.PHONY: lock
lock: $(STAMP) ## Resolve the requirement locks anew (ARGS=--upgrade: newest versions)
	$(LOCK) $(ARGS) --output-file $(LOCKS)/client.txt
	$(LOCK) $(ARGS) --extra server --output-file $(LOCKS)/server.txt
	$(LOCK) $(ARGS) --extra server --extra postgres --extra mariadb --extra redis --output-file $(LOCKS)/databases.txt
	$(LOCK) $(ARGS) --extra server --extra postgres --extra mariadb --extra redis --extra sign --extra dev --output-file $(LOCKS)/dev.txt

.PHONY: clean
clean: ## Remove .venv, caches and build folders
	rm -rf $(VENV) .venv.lock build dist .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf ./*.egg-info
	find packages server client tests -name __pycache__ -type d -prune -exec rm -rf {} +
