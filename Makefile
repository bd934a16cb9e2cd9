# `make run` is all that a user needs; `make test` is what CI runs.

PYTHON ?= $(firstword $(foreach p,python3.11 python3 python3.12 python3.13,$(if $(shell command -v $(p)),$(p))))

.PHONY: run setup setup-dev demo docs test lint format soak screenshots lighthouse firefox smooth bench bench-api bench-sip bench-speech bench-browser profile openapi clients fuzz fuzz-sip fuzz-parsers soak-sip soak-workers kill-workers bench-fleet first clean help
.DEFAULT_GOAL := help

run: setup  ## start the platform: API and telephone lines
	@.venv/bin/chorus models offer
	.venv/bin/chorus serve

demo: setup  ## three telephone calls on this machine, with no account anywhere
	@.venv/bin/chorus models offer
	.venv/bin/chorus demo

setup: .venv/.synced dashboard/.built  ## install what Chorus needs to run into .venv, from uv.lock, and build the dashboard

setup-dev: .venv/.synced-dev dashboard/.built  ## the same with what its tests and documentation need

DASHBOARD = $(shell find dashboard clients/browser/src -name node_modules -prune -o -type f ! -name '*.gen.ts' ! -name '.built' -print)

dashboard/.built: $(DASHBOARD) scripts/dashboard.py | .venv/.synced
	.venv/bin/python scripts/dashboard.py

# A `.venv` that has the development tools keeps them, whatever is asked for next.
.venv/.synced: uv.lock pyproject.toml scripts/bootstrap.py
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed))
	$(PYTHON) scripts/bootstrap.py $(if $(wildcard .venv/bin/pytest),--dev)
	@touch $@ $(wildcard .venv/.synced-dev)

.venv/.synced-dev: uv.lock pyproject.toml scripts/bootstrap.py
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed))
	$(PYTHON) scripts/bootstrap.py --dev
	@touch $@ .venv/.synced

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

docs: setup-dev  ## the documentation, with the API's reference, into site/
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet
	@echo "Built: $(CURDIR)/site/index.html; with a working search: python3 -m http.server -d site 8080"

test: setup-dev  ## everything that CI checks
	.venv/bin/python scripts/check.py

lint: setup-dev  ## the same without the tests
	.venv/bin/python scripts/check.py lint

format: setup-dev  ## let ruff mend and format what it can
	.venv/bin/ruff check --fix --quiet
	.venv/bin/ruff format --quiet

soak: setup-dev  ## many calls; looks for what does not go away afterwards
	.venv/bin/pytest -m slow --ignore=tests/dashboard/test_lighthouse.py --ignore=tests/dashboard/test_firefox.py || [ $$? -eq 5 ]  # 5: no test is marked slow
	.venv/bin/python -W ignore -m bench.soak $(ARGS)

soak-workers: setup-dev  ## 2,000 calls on two workers that are replaced every half minute
	.venv/bin/python -W ignore -m bench.soak_workers $(ARGS)

kill-workers: setup-dev  ## a hundred kills over two workers on Postgres; counts what became of the calls
	.venv/bin/pytest -p no:xdist -m slow -s tests/soak/test_kill.py -k workers_killed_a_hundred $(ARGS)

bench-fleet: setup-dev  ## calls by workers, and Postgres under a thousand calls and ten thousand, by its defaults
	.venv/bin/python -W ignore -m bench.fleet slice --write docs/performance-database.md
	.venv/bin/python -W ignore -m bench.fleet database --write docs/performance-database.md

screenshots: setup-dev  ## pictures of the dashboard, into docs/images/dashboard
	CHORUS_SCREENSHOTS=1 .venv/bin/pytest -p no:xdist -q -m "slow or not slow" tests/dashboard/test_pages.py -k "accessible and sqlite"

lighthouse: setup-dev  ## what Lighthouse finds of the dashboard's pages, on a desktop and on a telephone
	.venv/bin/pytest -p no:xdist -m slow -q -s tests/dashboard/test_lighthouse.py -k sqlite

firefox: setup-dev  ## a call from the dashboard in Debian's Firefox
	.venv/bin/pytest -p no:xdist -m slow -q tests/dashboard/test_firefox.py

smooth: setup-dev  ## how a list of 10,000 calls scrolls, in Chromium
	.venv/bin/pytest -p no:xdist -m slow -q -s tests/dashboard/test_calls.py -k thousand

first: setup-dev  ## from a clone to the first answer in a browser, with the time of each step
	.venv/bin/python -W ignore -m bench.first_minutes $(ARGS)

openapi: setup-dev  ## the API's document, into build/openapi.json
	.venv/bin/python scripts/clients.py --document-only

clients: setup-dev  ## clients of the API in Python and TypeScript, into build/
	.venv/bin/python scripts/clients.py

fuzz: setup-dev  ## every operation with thousands of requests, by its document, on both databases
	.venv/bin/python -W ignore -m tests.openapi.fuzzing $(ARGS)

fuzz-parsers: setup-dev  ## inputs that are nearly right for every other parser
	.venv/bin/python -W ignore -m tests.parsers.fuzzing $(ARGS)

fuzz-sip: setup-dev  ## a million broken messages against the SIP user agent
	.venv/bin/python -W ignore -m tests.lines.sip.fuzzing $(ARGS)

bench: setup-dev  ## load, beside the peer, into docs/performance.md
	.venv/bin/python -W ignore -m bench.run $(ARGS)

soak-sip: setup-dev  ## an hour of 50 SIP calls; looks for what does not go away afterwards
	.venv/bin/python -W ignore -m bench.sip_soak $(ARGS)

bench-sip: setup-dev  ## what a SIP call costs, without the models
	.venv/bin/python scripts/peers.py
	.venv/bin/python -W ignore -m bench.sip $(ARGS)

bench-browser: setup-dev  ## what calls from web pages cost the server
	.venv/bin/python -W ignore -m bench.browser $(ARGS)

bench-api: setup-dev  ## the API's speed, beside hand-written SQL, into docs/performance.md
	.venv/bin/python -W ignore -m bench.api --write docs/performance.md $(ARGS)

bench-speech: setup-dev  ## how well the engines of this machine hear, speak and judge turns
	.venv/bin/python scripts/material.py
	OMP_NUM_THREADS=1 .venv/bin/python -W ignore -m bench.speech $(ARGS)

profile: setup-dev  ## where the server's time goes under load
	.venv/bin/python -W ignore -m bench.hotspots $(ARGS)

clean:  ## remove what the above made; data/ stays
	rm -rf dashboard/node_modules dashboard/.built src/chorus/web/static .venv .tools .pytest_cache .ruff_cache .hypothesis .import_linter_cache bench/.peer build site
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
