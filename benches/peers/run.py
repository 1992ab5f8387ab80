#!/usr/bin/env python3
"""Tillgate beside nginx and HAProxy: the same work, one core each, in turn, several times.

`benches/README.md` says what is measured and how to read it. Needs nginx, haproxy, wrk and taskset, a release build of
Tillgate, and two cores. Everything listens on free ports of 127.0.0.1 and is gone at the end.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # what the benches share

import load
import machine
import processes
import report
from machine import find

CONFIG = Path(__file__).parent / "config"

# What is asked for, and how many bytes the answer has.
WORKLOADS = {"small": 100, "64k": 64 * 1024, "1m": 1024 * 1024}


def main():
    options = parse_options()
    missing = [tool for tool in ("nginx", "haproxy", "wrk", "taskset") if not find(tool)]
    if missing:
        sys.exit(f"missing: {' '.join(missing)}; `scripts/install-deps.sh bench-peers` installs them")
    if not options.tillgate.is_file():
        sys.exit(f"{options.tillgate} is missing; `cargo build --release --locked` makes it")
    # So that a TERM, too, stops the servers on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tillgate-peers-", dir=machine.in_memory()) as folder:
        compare(options, Path(folder))


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=WORKLOADS, action="append", help="measure this workload only (repeatable)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s: shows that it works, says little")
    parser.add_argument("--rounds", type=int, default=os.environ.get("ROUNDS", 5), help="default $ROUNDS, or 5")
    parser.add_argument("--seconds", type=int, default=os.environ.get("SECONDS", 5), help="default $SECONDS, or 5")
    parser.add_argument("--connections", type=int, default=64, help="kept open by wrk (64)")
    parser.add_argument("--proxy-cpu", type=int, default=0, help="core of the proxy measured (0)")
    parser.add_argument("--load-cpu", type=int, default=1, help="core of wrk and of the backend (1)")
    parser.add_argument("--tillgate", type=Path, default=machine.built("tillgate"), help="binary to measure")
    parser.add_argument("--before", type=Path, help="another build of Tillgate to measure beside it")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2
    if options.rounds < 1 or options.seconds < 1:
        parser.error("rounds and seconds have to be 1 or more")
    return options


def compare(options, folder):
    folder.chmod(0o755)  # nginx reads the files as another user
    write_files(folder)
    tools = {tool: find(tool) for tool in ("nginx", "haproxy")}
    report.print_machine(options, tools)
    with processes.Servers(folder, CONFIG) as servers:
        small = {"SMALL": "x" * WORKLOADS["small"]}
        backend = servers.start("backend", nginx(tools, "backend.conf"), options.load_cpu, small)
        behind = {"BACKEND": backend.port}
        commands = {
            "tillgate": ("tillgate.yaml", [options.tillgate, "run", "--config"]),
            "nginx": ("nginx.conf", nginx(tools, "nginx.conf")[1]),
            "haproxy": ("haproxy.cfg", [tools["haproxy"], "-db", "-q", "-f"]),
        }
        if options.before:
            commands["before"] = ("tillgate.yaml", [options.before, "run", "--config"])
        proxies = [servers.start(name, command, options.proxy_cpu, behind) for name, command in commands.items()]
        for workload in options.only or WORKLOADS:
            results = measure(options, workload, proxies, backend)
            report.print_workload(workload, results)


def nginx(tools, config):
    return config, [tools["nginx"], "-e", "stderr", "-c"]


def write_files(folder):
    files = folder / "files"
    files.mkdir()
    for name in ("64k", "1m"):
        (files / name).write_bytes(os.urandom(WORKLOADS[name]))


def measure(options, workload, proxies, backend):
    """Rounds of each proxy in turn. The one that begins changes from round to round."""
    for proxy in proxies:
        load.check(proxy.port, workload, WORKLOADS[workload])
        load.run(proxy.port, workload, options.connections, 1, options.load_cpu)
    results = {proxy.name: [] for proxy in proxies}
    for number in range(options.rounds):
        turn = number % len(proxies)
        for proxy in proxies[turn:] + proxies[:turn]:
            results[proxy.name].append(measure_once(options, workload, proxy, backend))
    return results


def measure_once(options, workload, proxy, backend):
    opened = load.accepted(backend.port)
    core = processes.core_seconds(options.proxy_cpu)
    cpu, started = proxy.cpu_seconds(), time.monotonic()
    figures = load.run(proxy.port, workload, options.connections, options.seconds, options.load_cpu)
    wall = time.monotonic() - started
    used = proxy.cpu_seconds() - cpu
    others = processes.core_seconds(options.proxy_cpu) - core - used
    return report.Round(
        requests_per_second=figures.requests_per_second,
        p50=figures.p50,
        p99=figures.p99,
        cpu_us=used * 1e6 / figures.requests,
        core_busy=used / wall,
        others=max(others, 0) / wall,
        resident=proxy.resident_bytes(),
        opened=load.accepted(backend.port) - opened - 1,  # the question is a connection too
    )


if __name__ == "__main__":
    try:
        main()
    except (processes.Failure, load.Failure) as failure:
        sys.exit(f"bench-peers: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
