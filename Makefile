# Each target is a command that a person could type; what it does stands in scripts/.

.DEFAULT_GOAL := help
.PHONY: help demo test conformance soak lint fmt bench bench-simulation bench-peers bench-tail

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: ## Build, start the services and Tillgate on config.example.yaml, say what to try; Ctrl-C stops all
	@scripts/demo.sh

test: ## Install what the tests need, and run them all
	scripts/test.sh

conformance: ## HTTP/2 as h2spec, nghttp2 and gRPC of Go see it; needs Go, which builds the tools
	scripts/conformance.sh

soak: ## Every fault of an endpoint under every strategy for minutes; ROUNDS=10 for longer
	TILLGATE_SOAK_ROUNDS=$${ROUNDS:-1} cargo test --locked --test integration -- faults::

lint: ## Formatting, clippy, documentation, shell scripts, licences and advisories of dependencies
	scripts/lint.sh

fmt: ## Format the code
	cargo fmt --all

bench: ## Criterion benches of the hot functions
	cargo bench --locked --bench pick --bench route --bench headers --bench snapshot

bench-simulation: ## Strategies beside models of their rivals in virtual time, some minutes
	cargo bench --locked --bench simulation

bench-peers: ## Tillgate beside nginx, HAProxy and Envoy, protocol by protocol; ROUNDS=3 SECONDS=2 for a short run
	scripts/install-deps.sh bench-peers
	cargo build --release --locked --bin tillgate --example peers_client --example peers_server
	python3 benches/peers/run.py

bench-tail: ## Tails beside the field: slow, stalling, crashing endpoints; ROUNDS=3 SECONDS=12 to change its length
	scripts/install-deps.sh bench-tail
	cargo build --release --locked --bin tillgate --example tail_server
	python3 benches/tail/run.py
