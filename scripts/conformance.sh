#!/usr/bin/env bash
# What h2spec, the clients of nghttp2 and grpcurl say of Tillgate's HTTP/2. h2spec and grpcurl are built with Go, in the
# versions that tests/tools/go.mod says. With --if-possible a machine that cannot build them is told so, and that is no failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Where Go's own package puts it; not on everybody's PATH.
export PATH="$PATH:/usr/local/go/bin"

# The first Go that knows the `tool` lines of go.mod.
OLDEST_GO=1.24
TOOLS=$(realpath -m "${CARGO_TARGET_DIR:-target}")/conformance

main() {
    local problem
    if ! problem=$(build_tools 2>&1); then
        echo "WARNING: CONFORMANCE OF HTTP/2 WAS NOT TESTED: ${problem##*$'\n'}" >&2
        [[ ${1:-} == --if-possible ]] && return
        exit 1
    fi
    scripts/install-deps.sh conformance
    TILLGATE_CONFORMANCE_TOOLS=$TOOLS cargo test --locked --test integration -- conformance:: --ignored
}

build_tools() {
    command -v go || fail "go is missing; h2spec and grpcurl are built with it"
    is_new_enough || fail "h2spec and grpcurl are built with Go $OLDEST_GO or later, and here is $(go env GOVERSION)"
    GOBIN=$TOOLS go -C tests/tools install tool
}

is_new_enough() {
    [[ $(printf '%s\n' "go$OLDEST_GO" "$(go env GOVERSION)" | sort -V | head -n1) == "go$OLDEST_GO" ]]
}

fail() {
    echo "$*"
    exit 1
}

main "$@"
