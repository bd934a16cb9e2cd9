# `make run` is all that a user needs; `make test` is what CI runs.

PYTHON ?= $(firstword $(foreach p,python3.11 python3 python3.12 python3.13,$(if $(shell command -v $(p)),$(p))))

.PHONY: run setup demo docs test lint format soak bench profile openapi clients fuzz clean
.DEFAULT_GOAL := run

run: setup  ## start the platform: API and telephone lines
	.venv/bin/chorus serve

setup: .venv/.synced  ## install everything into .venv, from uv.lock

.venv/.synced: uv.lock pyproject.toml scripts/bootstrap.py
	$(if $(PYTHON),,$(error Python 3.11 or newer is needed))
	$(PYTHON) scripts/bootstrap.py
	@touch $@

demo: setup  ## a call from end to end on this machine, with no account anywhere
	.venv/bin/chorus demo

docs: setup  ## the documentation, with the API's reference, into site/
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

test: setup  ## everything that CI checks
	.venv/bin/python scripts/check.py

lint: setup  ## the same without the tests
	.venv/bin/python scripts/check.py lint

format: setup
	.venv/bin/ruff check --fix --quiet
	.venv/bin/ruff format --quiet

soak: setup  ## many calls; looks for what does not go away afterwards
	.venv/bin/pytest -m slow || [ $$? -eq 5 ]  # 5: no test is marked slow
	.venv/bin/python -W ignore -m bench.soak $(ARGS)

openapi: setup  ## the API's document, into build/openapi.json
	.venv/bin/python scripts/clients.py --document-only

clients: setup  ## clients of the API in Python and TypeScript, into build/
	.venv/bin/python scripts/clients.py

fuzz: setup  ## every operation with thousands of requests, by its document, on both databases
	.venv/bin/python -W ignore -m tests.openapi.fuzzing $(ARGS)

bench: setup  ## load, beside the peer, into docs/performance.md
	.venv/bin/python -W ignore -m bench.run $(ARGS)

bench-api: setup  ## the API's speed, beside hand-written SQL, into docs/performance.md
	.venv/bin/python -W ignore -m bench.api --write docs/performance.md $(ARGS)

profile: setup  ## where the server's time goes under load
	.venv/bin/python -W ignore -m bench.hotspots $(ARGS)

clean:  ## remove what the above made; data/ stays
	rm -rf .venv .tools .pytest_cache .ruff_cache .hypothesis .import_linter_cache bench/.peer build site
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +
