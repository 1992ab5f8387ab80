#!/usr/bin/env python3
"""Tails beside the field: the same slow, stalling, crashing endpoints behind Tillgate and behind its peers, in turn.

`benches/README.md` says what is measured and how to read it. Needs oha, taskset, nginx and haproxy, a release build of
Tillgate and of the example `tail_server`, and two cores; the other peers come from a venv that
`scripts/install-deps.sh bench-tail` makes. Everything listens on free ports of 127.0.0.1 and is gone at the end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # what the benches share

import field
import load
import machine
import processes
import report
from endpoints import Endpoint
from scenarios import SCENARIOS

HERE = Path(__file__).parent
STRATEGIES = ["least_response", "least_connections", "p2c"]
START_AND_STOP = 1  # seconds of a run in which nothing is measured, roughly


def main():
    options = parse_options()
    for tool in ("oha", "taskset"):
        if not machine.find(tool):
            sys.exit(f"{tool} is missing; `scripts/install-deps.sh bench-tail` installs it")
    for binary in (options.tillgate, options.server):
        if not binary.is_file():
            sys.exit(f"{binary} is missing; `cargo build --release --locked --bin tillgate --example tail_server` makes it")
    # So that a TERM, too, stops the servers on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    compare(options)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", choices=names, action="append", help="measure this scenario only (repeatable)")
    parser.add_argument("--proxy", action="append", help="measure only proxies whose name begins so (repeatable)")
    parser.add_argument("--strategy", choices=STRATEGIES, action="append", help="of Tillgate (repeatable); least_response")
    parser.add_argument("--retries", action="store_true", help="tell all of them to try again elsewhere, also after a 503 or 250 ms")
    parser.add_argument("--hedge", action="store_true", help="have Tillgate send slow reads to a second endpoint too")
    parser.add_argument("--quick", action="store_true", help="6 s for each: shows that it works, says little")
    parser.add_argument("--rounds", type=int, default=os.environ.get("ROUNDS", 1), help="default $ROUNDS, or 1")
    parser.add_argument("--seconds", type=int, default=os.environ.get("SECONDS", 24), help="default $SECONDS, or 24")
    parser.add_argument("--warmup", type=int, default=4, help="seconds before, that do not count (4)")
    parser.add_argument("--rate", type=int, default=800, help="requests/s (800)")
    parser.add_argument("--connections", type=int, default=512, help="that oha may use (512)")
    parser.add_argument("--proxy-cpu", type=int, default=0, help="core of the proxy measured (0)")
    parser.add_argument("--load-cpu", type=int, default=1, help="core of oha and of the endpoints (1)")
    parser.add_argument("--tillgate", type=Path, default=machine.built("tillgate"), help="binary to measure")
    parser.add_argument("--server", type=Path, default=machine.built("examples/tail_server"), help="the endpoints' binary")
    parser.add_argument("--output", type=Path, default=machine.target() / "bench-tail", help="folder for figures and plot")
    options = parser.parse_args()
    options.strategy = options.strategy or STRATEGIES[:1]
    if options.quick:
        options.seconds, options.warmup = 6, 2
    if min(options.rounds, options.seconds, options.warmup) < 1:
        parser.error("rounds, seconds and warm-up have to be 1 or more")
    return options


def compare(options):
    proxies, missing = field.present(options)
    proxies = [one for one in proxies if one.name.startswith(tuple(options.proxy or [""]))]
    if not proxies:
        sys.exit(f"no proxy's name begins with {' or '.join(options.proxy)}")
    scenarios = [one for one in SCENARIOS if one.name in (options.only or one.name)]
    report.print_machine(options, proxies, missing, oha_version())
    runs = options.rounds * len(scenarios) * len(proxies)
    minutes = runs * (options.warmup + options.seconds + START_AND_STOP) / 60
    if options.retries:
        print("retries   all try twice more, elsewhere: after an error, a 503, or 250 ms without an answer")
    if options.hedge:
        print(f"hedge     tillgate: {field.HEDGE}")
    print(f"time      about {minutes:.0f} minutes", flush=True)
    results = {}
    for number, scenario in enumerate(scenarios):
        results[scenario.name] = measure(options, scenario, proxies, number)
        report.print_scenario(scenario, results[scenario.name])
        sys.stdout.flush()
    write(options, scenarios, results)
    for line in missing:
        print(f"WARNING: left out: {line}")


def oha_version():
    return machine.first_line(machine.find("oha"), "--version")


def measure(options, scenario, proxies, number):
    """Rounds of each proxy in turn. The one that begins changes from round to round, and between scenarios."""
    sums = {proxy.name: report.Sum() for proxy in proxies}
    for round_number in range(options.rounds):
        turn = (number + round_number) % len(proxies)
        for proxy in proxies[turn:] + proxies[:turn]:
            with tempfile.TemporaryDirectory(prefix="tillgate-tail-", dir=machine.in_memory()) as folder:
                sums[proxy.name].add(*measure_once(options, scenario, proxy, round_number, Path(folder)))
    return sums


def measure_once(options, scenario, proxy, round_number, folder):
    """Everything is new, the proxy too, so that no run knows what the one before it learnt."""
    folder.chmod(0o755)  # nginx reads its folder as another user
    with processes.Servers(folder, HERE / "config") as servers:
        endpoints = [
            # A seed for each endpoint and round, the same for all proxies.
            Endpoint(servers, options.server, options.load_cpu, number, law, 100 * round_number + number)
            for number, law in enumerate(scenario.laws, 1)
        ]
        server = proxy.start(servers, options.proxy_cpu, [endpoint.port for endpoint in endpoints], options.retries, options.hedge)
        load.await_answer(server)
        with load.Load(machine.find("oha"), server.port, options, folder) as running:
            return under_load(options, scenario, server, endpoints, running)


def under_load(options, scenario, server, endpoints, running):
    running.wait_until(options.warmup)
    before = [endpoint.received() for endpoint in endpoints]
    cores = [
        processes.Core(options.proxy_cpu, [server]),
        processes.Core(options.load_cpu, [running.server, *endpoints]),
    ]
    for third, change in ((1, scenario.begin), (2, scenario.end)):
        running.wait_until(options.warmup + options.seconds * third / 3)
        if change:
            endpoints[-1].change(change)
    running.wait_until(options.warmup + options.seconds - 0.1)
    others = max(core.by_others() for core in cores)
    outcome = running.outcome()
    received = [endpoint.received() - earlier for endpoint, earlier in zip(endpoints, before)]
    return outcome, received, others


def write(options, scenarios, results):
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "results.json"
    path.write_text(json.dumps([as_data(scenario, results[scenario.name]) for scenario in scenarios]))
    if not any(field.VENV.glob("lib/python3*/site-packages/matplotlib")):
        print("WARNING: no plot, for there is no matplotlib; `scripts/install-deps.sh bench-tail` installs it")
        return
    subprocess.run([field.VENV / "bin/python3", HERE / "plot.py", path], check=True)


def as_data(scenario, sums):
    proxies = [
        {
            "name": name,
            "total": one.total(),
            "failures": one.failures,
            "received": one.received,
            "latencies_ms": [round(latency * 1e3, 3) for latency in one.latencies],
        }
        for name, one in sums.items()
    ]
    return {"name": scenario.name, "says": scenario.says, "proxies": proxies}


if __name__ == "__main__":
    try:
        main()
    except (processes.Failure, load.Failure) as failure:
        sys.exit(f"bench-tail: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
