# Every verb a developer needs. `make help` lists them; each is safe to call twice.
SHELL := /bin/bash
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
STAMPS := .build
BIN := .venv/bin
CARGO_FLAGS ?=
SEED ?= 1

rust_sources := Cargo.toml Cargo.lock pyproject.toml $(shell find crates -name '*.rs' -o -name Cargo.toml 2>/dev/null)

.PHONY: help build wheel demo test lint bless bench bench-rls bench-gates bench-fleet bench-change bench-holders bench-store sim fuzz crash gates-live keeper-kills failovers seeds meters shares priority descriptors loom docs clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

build: $(STAMPS)/core  ## .venv/bin/headway, from nothing; a second call does nothing

$(STAMPS)/venv: requirements/dev.txt
	mkdir -p $(STAMPS)
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Headway needs Python 3.11 or newer; say PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

$(STAMPS)/core: $(STAMPS)/venv $(rust_sources)
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/maturin develop --release --quiet
	touch $@

$(STAMPS)/bench: $(STAMPS)/core requirements/bench.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	touch $@

$(STAMPS)/pyright: tools/pyright/package-lock.json
	mkdir -p $(STAMPS)
	cd tools/pyright && npm ci --silent --no-audit --no-fund
	touch ../../$@

wheel: $(STAMPS)/venv  ## a wheel for distribution, in dist/
	$(BIN)/maturin build --profile wheel --out dist

demo: build  ## the web shop: watch a limit refuse, climb and step; AUTO=1 runs unattended
	$(BIN)/python -m examples.shop $(if $(AUTO),--auto) --seed $(SEED)

test: build  ## every test: Rust, Python, the demo in short
	cargo test --workspace --quiet $(CARGO_FLAGS)
	$(BIN)/python -m pytest

lint: build $(STAMPS)/pyright  ## formats, types (two checkers), the stub against the module, clippy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest headway._core --ignore-disjoint-bases
	tools/pyright/node_modules/.bin/pyright --pythonpath $(BIN)/python

bless: build  ## rewrite golden files; review the diff as code
	HEADWAY_BLESS=1 $(BIN)/python -m pytest -q tests/contract tests/cli tests/attach/test_text.py tests/attach/test_pages.py

bench: $(STAMPS)/bench  ## decisions beside their peers, interleaved; results in benches/results/
	$(BIN)/python -m benches.python

bench-rls: $(STAMPS)/bench  ## the rate-limit service beside its peers, under h2load; about 5 minutes
	tools/debian.sh nghttp2-client redis-server
	$(BIN)/python -m benches.rls --rounds $(or $(ROUNDS),7)

bench-gates: build  ## what a demand costs that is asked at the server; about 1 minute
	$(BIN)/python -m benches.gates

bench-fleet: $(STAMPS)/bench  ## fifty gates and one limit, beside a counter, a split and Redis; about 5 minutes
	tools/debian.sh redis-server
	$(BIN)/python -m benches.fleet --seed $(SEED)

bench-change: build  ## how long a change of limit takes until eight gates follow; about 6 minutes
	$(BIN)/python -m benches.change --seed $(SEED)

bench-holders: build  ## ten thousand holders on one keeper: renewals, streams, durable growth; about 2 minutes
	cargo build --release --quiet -p headway-gate --example streams
	$(BIN)/python -m benches.holders --seed $(SEED)

meters: build  ## ten million random decisions against the exact twin
	$(BIN)/python -m benches.meters --decisions 10000000 --seed $(SEED)

shares: build  ## a million random divisions against the exact twin; workloads by weight beside the ideal
	$(BIN)/python -m benches.shares --cases $(or $(CASES),1000000) --seed $(SEED)
	$(BIN)/python -m benches.weights --seed $(SEED)
	$(BIN)/python -m benches.windows --seed $(SEED)

priority: build  ## a critical workload beside a background one that spikes twelvefold
	$(BIN)/python -m benches.priority --seed $(SEED)

sim: meters  ## the long simulations of a release: decisions, then leases; SIM_HOURS=10000
	commit=$$($(BIN)/python -c 'from benches.provenance import commit_of_checkout; print(commit_of_checkout())')
	cargo build --release --quiet -p headway-sim --features mutants
	target/release/simulate --hours $(or $(SIM_HOURS),10000) --seed $(SEED) --commit $$commit | tee benches/results/sim-leases-$(SEED).json
	target/release/simulate --mutants --seed $(SEED) --commit $$commit | tee benches/results/sim-mutants-$(SEED).json

bench-store: build  ## durable growth a second, SQLite and PostgreSQL in turns
	tools/debian.sh postgresql
	$(BIN)/python -m benches.store --seed $(SEED)

descriptors: build  ## ten million keys offered to a limit of each of a million; about 2 minutes
	$(BIN)/python -m benches.descriptors --seed $(SEED)

loom:  ## every interleaving of the atomic paths
	RUSTFLAGS="--cfg loom" cargo test --release -p headway-core --lib interleavings --target-dir target/loom

fuzz: $(STAMPS)/bench  ## the reader, then the data plane's decoders under coverage-guided fuzzers; SECONDS_=3600 each
	$(BIN)/python fuzz/reader_fuzz.py --seconds $(or $(SECONDS_),3600)
	$(BIN)/python fuzz/wire_fuzz.py --seconds $(or $(SECONDS_),3600) --seed $(SEED) --at-once 2 \
		--result benches/results/wire-fuzz-$(SEED).json

crash: build  ## kill -9 the running demo 300 times while it is given verbs, and check what is left
	$(BIN)/python -m tests.demo.crash --kills $(or $(KILLS),300) --seed $(SEED)

keeper-kills: build  ## kill -9 a keeper under load 500 times, and its gates; nothing may be over
	$(BIN)/python -m tests.connect.kills --kills $(or $(KILLS),500) --seed $(SEED)

gates-live: build  ## eight gates on a faulty network under a thousand changes of limit; MINUTES=30
	$(BIN)/python -m tests.connect.live --minutes $(or $(MINUTES),30) --seed $(SEED)

failovers: build  ## a server and its standby on one PostgreSQL, failing over under load 60 times; nothing may be over
	tools/debian.sh postgresql
	$(BIN)/python -m tests.standby.failovers --failovers $(or $(FAILOVERS),60) --seed $(SEED)

seeds: build  ## the demo with ten other seeds
	$(BIN)/python -m tests.demo.seeds

docs: build  ## regenerate what is generated: the JSON Schema
	$(BIN)/python -m headway.contract.schema

clean:  ## remove what was built
	rm -rf $(STAMPS) .venv target dist tools/pyright/node_modules
