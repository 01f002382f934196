# Every target sets the environment up first; nothing but Python and make is needed.
.PHONY: help setup demo up test test-faults test-browser test-alerts test-gpu fuzz check bench bench-gpu model lock docs

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | column -ts '	'

setup:           ## prepare .venv (with an NVIDIA GPU the GPU lock, else the CPU lock)
	@requirements/install.sh

demo: setup      ## start everything and triage the built-in tickets
	@.venv/bin/triage demo

up: setup        ## start everything and keep it running
	@.venv/bin/triage up

test: setup      ## all tests: unit, migrations, integration, acceptance
	@.venv/bin/python -m pytest

test-faults: setup ## kill, cut and fill everything (needs PostgreSQL, RabbitMQ and Redis)
	@.venv/bin/python -m pytest -o addopts= -ra tests/faults

test-browser: setup ## the page in Chromium (needs chromium, npm and fonts-noto-cjk)
	@.venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/browser.txt
	@npm install --silent --no-save --no-package-lock --prefix .venv/npm axe-core@4.11
	@.venv/bin/python -m pytest -o addopts= -ra tests/browser

fuzz: setup      ## 100,000 requests that nobody should send, recorded in bench/RESULTS.md
	@.venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements/fuzz.txt
	@.venv/bin/python -m bench fuzz

test-alerts:     ## Prometheus's alerts (needs promtool, in Debian's package prometheus)
	@promtool check config --syntax-only docker/prometheus/prometheus.yml
	@promtool test rules docker/prometheus/alerts_test.yml

check: setup     ## ruff, mypy, import contracts, freshness of generated files
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/ruff check --quiet .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.venv/bin/python -m schemas.generate --check
	@.venv/bin/python -m worker.cli.reference --check
	@.venv/bin/python -m docker.grafana.build --check

docs: setup      ## write what is generated: schemas/json, docs, Grafana dashboards
	@.venv/bin/python -m schemas.generate
	@.venv/bin/python -m worker.cli.reference
	@.venv/bin/python -m docker.grafana.build
	@.venv/bin/python -m tests.worked_examples 2> /dev/null

bench: setup     ## measure, and write bench/RESULTS.md
	@.venv/bin/python -m bench

bench-gpu: setup ## Mistral Nemo's speed on this GPU, real weights from TRIAGE_MODEL_DIR
	@.venv/bin/python -m bench roofline production

test-gpu: setup  ## the way of a ticket on Mistral Nemo's architecture (needs an NVIDIA GPU)
	@.venv/bin/python -m pytest -o addopts= -ra tests/gpu

model: setup     ## train and quantize the demonstration model again (hours)
	@models/demo/build.sh

lock:            ## resolve the locks again (needs uv)
	@requirements/lock.sh
