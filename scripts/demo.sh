#!/usr/bin/env bash
# The shop of config.example.yaml on this machine: three order and two payment replicas behind Tillgate, until Ctrl-C.
# Data and logs go to demo-data/, which is made anew each time.
# shellcheck disable=SC2317 # what traps call is reached
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

CONFIG=config.example.yaml
DATA=demo-data
PROXY=127.0.0.1:8080
ADMIN=127.0.0.1:9900
ORDER_PORTS=(7001 7002 7003)
PAYMENT_PORTS=(7101 7102)
START_DEADLINE=20 # seconds
STOP_DEADLINE=40  # seconds: above the drain_timeout of the config

BINARIES=${CARGO_TARGET_DIR:-target}/release
# What was started: process id -> name.
declare -A NAME_OF=()
TILLGATE=
FOLLOWER=

main() {
    scripts/install-deps.sh demo
    refuse_taken_ports
    cargo build --release --workspace --locked
    trap stop_all EXIT
    trap 'exit 0' INT TERM HUP
    rm -rf "$DATA"
    mkdir "$DATA"
    start_services
    start_tillgate
    tell
    await_end
}

refuse_taken_ports() {
    local port holder
    for port in "${ORDER_PORTS[@]}" "${PAYMENT_PORTS[@]}" "${PROXY##*:}" "${ADMIN##*:}"; do
        holder=$(ss -Hltnp "sport = :$port")
        [[ -z $holder ]] || fail "port $port is taken, stop what listens there: $(tr -s ' ' <<<"$holder" | head -n1)"
    done
}

start_services() {
    local port
    for port in "${ORDER_PORTS[@]}"; do
        start "order-$port" "$BINARIES/order" --listen "127.0.0.1:$port" --store "$DATA/orders.sqlite"
        await_answer "order-$port" "http://127.0.0.1:$port/healthz"
    done
    for port in "${PAYMENT_PORTS[@]}"; do
        start "payment-$port" "$BINARIES/payment" --listen "127.0.0.1:$port" --store "$DATA/payments.sqlite"
        await_answer "payment-$port" "http://127.0.0.1:$port/healthz"
    done
}

start_tillgate() {
    start tillgate "$BINARIES/tillgate" run --config "$CONFIG"
    TILLGATE=$!
    await_answer tillgate "http://$ADMIN/healthz"
    await_answer tillgate "http://$PROXY/products"
}

# In a session of its own, so that Ctrl-C reaches this script alone, which then stops all in order.
start() {
    local name=$1
    shift
    setsid "$@" </dev/null >"$DATA/$name.log" 2>&1 &
    NAME_OF[$!]=$name
}

# Of the process started last.
await_answer() {
    local name=$1 url=$2 pid=$! deadline=$((SECONDS + START_DEADLINE))
    until curl --silent --fail --max-time 2 --output /dev/null "$url"; do
        kill -0 "$pid" 2>/dev/null || fail_with_log "$name ended at its start" "$name"
        ((SECONDS < deadline)) || fail_with_log "$name gave no answer on $url for $START_DEADLINE s" "$name"
        sleep 0.1
    done
}

tell() {
    cat <<END

Tillgate serves on http://$PROXY, its admin on http://$ADMIN. Ctrl-C stops everything.

Try (-i shows which replica answered, in x-replica):
  curl -i http://$PROXY/products
  curl -i http://$PROXY/orders -H 'content-type: application/json' \\
       -d '{"items":[{"product_id":1,"quantity":2}]}'
  curl -i http://$PROXY/payments -H 'content-type: application/json' -H 'idempotency-key: buy-1' \\
       -d '{"order_id":1,"amount_cents":2500,"currency":"EUR"}'

Watch:
  curl http://$ADMIN/api/v1/upstreams
  curl http://$ADMIN/metrics

Load:
  wrk -t1 -c32 -d30s --latency http://$PROXY/products
  oha -z 60s -c 32 http://$PROXY/products$(how_to_get_oha)
  oha -z 30s -c 16 -m POST -T application/json -d '{"items":[{"product_id":5,"quantity":1}]}' http://$PROXY/orders

Change: the config is $PWD/$CONFIG.
  Edit \`strategy:\` while oha runs and save: the change takes effect, and no request is lost.

Logs are in $PWD/$DATA; Tillgate's follows.

END
}

how_to_get_oha() {
    command -v oha >/dev/null || echo "        # oha: cargo install oha --locked"
}

# A replica may die, or be killed to see what happens: that is what Tillgate is for. A signal ends the script in here.
await_end() {
    local ended=
    tail -n +1 -f "$DATA/tillgate.log" &
    FOLLOWER=$!
    while [[ $ended != "$TILLGATE" ]]; do
        wait -n -p ended "${!NAME_OF[@]}" || true
        echo "demo: ${NAME_OF[$ended]} ended"
        unset "NAME_OF[$ended]"
    done
    fail_with_log "without Tillgate there is nothing to show" tillgate
}

# Tillgate first: it finishes what it has while the services still answer.
stop_all() {
    trap kill_all INT TERM HUP
    stop "$TILLGATE"
    stop "${!NAME_OF[@]}"
    stop "$FOLLOWER"
}

stop() {
    local pid deadline=$((SECONDS + STOP_DEADLINE))
    signal TERM "$@"
    for pid in "$@"; do
        while is_running "$pid" && ((SECONDS < deadline)); do sleep 0.1; done
    done
    signal KILL "$@"
}

# The second Ctrl-C.
kill_all() {
    signal KILL "${!NAME_OF[@]}"
}

signal() {
    local pid
    for pid in "${@:2}"; do
        is_running "$pid" && kill "-$1" "$pid"
    done
    return 0
}

# Only among the jobs of this shell, so that an id that the system gave to somebody else is left alone.
is_running() {
    [[ -n $1 ]] && jobs -pr | grep -qx "$1"
}

fail_with_log() {
    tail -n 20 "$DATA/$2.log" >&2
    fail "$1"
}

fail() {
    echo "demo: $*" >&2
    exit 1
}

main
