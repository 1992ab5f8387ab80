#!/usr/bin/env bash
# What can be found wrong without running anything. Stops at the first check that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

main() {
    scripts/install-deps.sh lint
    step shellcheck .ci/run scripts/*.sh
    step cargo fmt --all --check
    step cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS=-Dwarnings step cargo doc --workspace --no-deps --locked
    step cargo deny --locked check bans licenses sources
    advisories
}

step() {
    echo "+ $*"
    "$@"
}

# The database is a git repository elsewhere. A machine that cannot reach it can still check the rest, but is told so; an
# advisory that is in the database fails.
advisories() {
    local problem
    if problem=$(cargo deny fetch db 2>&1); then
        step cargo deny --locked check advisories
    else
        echo "WARNING: ADVISORIES WERE NOT CHECKED: cannot fetch the database: $(reason_of "$problem")" >&2
    fi
}

reason_of() {
    grep -m1 -E '^(fatal|error)' <<<"$1" || tail -n1 <<<"$1"
}

main
