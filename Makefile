.DEFAULT_GOAL := help
.PHONY: help setup lint format type test test-all smoke bundle bench docs lock sbom licences

help: ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## install for development, into the active environment
	pip install -e ".[test]"

lint: ## ruff: rules and format
	ruff check .
	ruff format --check .

format: ## let ruff mend what it can
	ruff check --fix .
	ruff format .

type: ## mypy, strict
	mypy

test: ## the default tests (minutes)
	pytest

test-all: ## the slow tests too
	pytest -m ""

smoke: ## a real two-round run in the simulation engine, on synthetic clips
	fedvsr run . --run-config 'experiment="smoke"'

bundle: ## what travels to the nodes: build the app bundle, and see that it is the packages and nothing else
	pytest tests/test_bundle.py

docs: ## the site, below build/site; needs pip install -e ".[docs]", and no network
	sphinx-build -b html -W --keep-going -q -c docs . build/site

lock: ## pin the whole closure with hashes: deploy/requirements.txt
	python deploy/lock.py

sbom: ## what that brings, as CycloneDX: build/sbom.json
	mkdir -p build
	cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o build/sbom.json deploy/requirements.txt

licences: ## of all that is installed here; refuses what isn't allowed
	python deploy/licences.py

bench: ## time and memory, JSON to stdout; benchmarks/gpu.py is for a GPU
	for one in $(filter-out benchmarks/gpu.py,$(wildcard benchmarks/*.py)); do python $$one || exit 1; done
