#!/usr/bin/env bash
# Every test, and the example config through the built binary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# nginx, which some tests start, is in a directory that only root has on its PATH.
export PATH="$PATH:/usr/sbin"

scripts/install-deps.sh test
# Tests and binaries in one build: apart, their dependencies would be compiled twice where tests ask for more of them.
cargo build --workspace --bins --tests --locked
cargo test --workspace --locked
# Its tools come from Go's module proxy, which a machine that runs the tests need not have.
scripts/conformance.sh --if-possible
"${CARGO_TARGET_DIR:-target}/debug/tillgate" check --config config.example.yaml
