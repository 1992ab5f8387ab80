#!/usr/bin/env python3
"""Tillgate beside nginx, HAProxy and Envoy: the same work, one core each, in turn, several times.

`benches/README.md` says what is measured and how to read it. Needs what `scripts/install-deps.sh bench-peers` installs, a
release build of Tillgate and of the examples `peers_client` and `peers_server`, and two cores. Everything listens on free
ports of 127.0.0.1 and is gone at the end.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # what the benches share

import certificates
import field
import load
import machine
import processes
import report
from machine import find
from workloads import FILES, IDLE, WORKLOADS, Idle

CONFIG = Path(__file__).parent / "config"
TOOLS = ("nginx", "haproxy", "wrk", "h2load", "openssl", "taskset")
# Connections that a proxy has to be able to take, where it is told a number.
FEW, MANY = 4096, 12_000
# Seconds that connections lie idle before the memory for them is read.
REST = 10


def main():
    options = parse_options()
    missing = [tool for tool in TOOLS if not find(tool)]
    if missing:
        sys.exit(f"missing: {' '.join(missing)}; `scripts/install-deps.sh bench-peers` installs them")
    for binary in (options.tillgate, options.client, options.server):
        if not binary.is_file():
            sys.exit(f"{binary} is missing; the Makefile says how `make bench-peers` builds it")
    # So that a TERM, too, stops the servers on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_allowed(), files_allowed()))
    with tempfile.TemporaryDirectory(prefix="tillgate-peers-", dir=machine.in_memory()) as folder:
        compare(options, Path(folder))


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [workload.name for workload in WORKLOADS]
    parser.add_argument("--only", choices=names, action="append", help="measure this workload only (repeatable)")
    parser.add_argument("--proxy", action="append", help="measure only proxies whose name begins so (repeatable)")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 s: shows that it works, says little")
    parser.add_argument("--rounds", type=int, default=os.environ.get("ROUNDS", 5), help="default $ROUNDS, or 5")
    parser.add_argument("--seconds", type=int, default=os.environ.get("SECONDS", 5), help="default $SECONDS, or 5")
    parser.add_argument("--connections", type=int, default=64, help="kept open by wrk (64)")
    parser.add_argument("--proxy-cpu", type=int, default=0, help="core of the proxy measured (0)")
    parser.add_argument("--load-cpu", type=int, default=1, help="core of the clients and of the backend (1)")
    parser.add_argument("--tillgate", type=Path, default=machine.built("tillgate"), help="binary to measure")
    parser.add_argument("--before", type=Path, help="another build of Tillgate to measure beside it")
    parser.add_argument("--client", type=Path, default=machine.built("examples/peers_client"), help="the client's binary")
    parser.add_argument("--server", type=Path, default=machine.built("examples/peers_server"), help="the services' binary")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2
    if options.rounds < 1 or options.seconds < 1:
        parser.error("rounds and seconds have to be 1 or more")
    return options


def compare(options, folder):
    folder.chmod(0o755)  # nginx reads the files as another user
    write_files(folder)
    proxies, missing = field.present(options)
    proxies = [one for one in proxies if one.name.startswith(tuple(options.proxy or [""]))]
    report.print_machine(options, proxies)
    bench = Bench(options, folder)
    for workload in WORKLOADS:
        if workload.name not in (options.only or workload.name):
            continue
        here = [proxy for proxy in proxies if proxy.name in workload.proxies]
        if files_allowed() < workload.files:
            missing.append(f"{workload.name}: needs {workload.files} open files, and `ulimit -Hn` allows {files_allowed()}")
        elif here:
            bench.measure(workload, here)
            sys.stdout.flush()
    for line in missing:
        print(f"WARNING: left out: {line}")


def files_allowed():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def write_files(folder):
    files = folder / "files"
    files.mkdir()
    for name in ("64k", "1m"):
        (files / name).write_bytes(os.urandom(FILES[name]))
    (folder / "openssl.cnf").write_text((CONFIG / "openssl.cnf").read_text())
    certificates.make(find("openssl"), folder)


class Bench:
    """What all workloads share. Each has its servers to itself, so that no proxy keeps memory of the one before."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.clients = load.Clients(options.client, options.load_cpu, folder)

    def measure(self, workload, proxies):
        if isinstance(workload, Idle):
            self.measure_idle(workload, proxies)
        else:
            report.print_workload(workload.name, self.under_load(workload, proxies))

    @contextmanager
    def services(self, connections):
        """The servers, the backend, and what a proxy has to know."""
        with processes.Servers(self.folder, CONFIG) as servers:
            backend = field.nginx("backend", "backend.conf")
            cpu, small = self.options.load_cpu, {"SMALL": "x" * FILES["small"]}
            backend = servers.start("backend", (backend.template, backend.words), cpu, small)
            grpc = processes.free_port()
            echo = servers.start("services", ("server.json", [self.options.server]), cpu, {"GRPC": grpc}, also=[grpc])
            yield servers, backend, {"BACKEND": backend.port, "ECHO": echo.port, "GRPC": grpc, "CONNECTIONS": connections}

    def under_load(self, workload, proxies):
        """Rounds of each proxy in turn. The one that begins changes from round to round."""
        options = self.options
        results = {proxy.name: [] for proxy in proxies}
        with self.services(FEW) as (servers, backend, values):
            running = [proxy.start(servers, options.proxy_cpu, values) for proxy in proxies]
            for server in running:
                workload.check(server, self.clients)
                workload.run(server, self.clients, options, 1)
            for number in range(options.rounds):
                for server in in_turn(running, number):
                    results[server.name].append(self.measure_once(workload, server, backend))
        return results

    def measure_once(self, workload, server, backend):
        options = self.options
        opened = load.accepted(backend.port)
        core = processes.core_seconds(options.proxy_cpu)
        cpu, started = server.cpu_seconds(), time.monotonic()
        figures = workload.run(server, self.clients, options, options.seconds)
        wall = time.monotonic() - started
        used = server.cpu_seconds() - cpu
        others = processes.core_seconds(options.proxy_cpu) - core - used
        return report.Round(
            requests_per_second=figures.requests_per_second,
            p50=figures.p50,
            p99=figures.p99,
            cpu_us=used * 1e6 / figures.requests,
            core_busy=used / wall,
            others=max(others, 0) / wall,
            resident=server.resident_bytes(),
            # The question is a connection too.
            opened=load.accepted(backend.port) - opened - 1 if workload.through_backend else None,
        )

    def measure_idle(self, workload, proxies):
        results = {proxy.name: [] for proxy in proxies}
        for number in range(self.options.rounds):
            for proxy in in_turn(proxies, number):
                results[proxy.name].append(self.hold(workload, proxy))
        report.print_idle(workload.name, IDLE, results)

    def hold(self, workload, proxy):
        """A new proxy each time: memory that was freed is seldom given back."""
        with self.services(MANY) as (servers, _, values):
            server = proxy.start(servers, self.options.proxy_cpu, values)
            workload.check(server, self.clients)
            empty = server.resident_bytes()
            with workload.hold(server, self.clients):
                # What a proxy frees a little later is not held against it: an idle client is idle for longer.
                time.sleep(REST)
                return report.Idle(empty=empty, full=server.resident_bytes())


def in_turn(proxies, number):
    turn = number % len(proxies)
    return proxies[turn:] + proxies[:turn]


if __name__ == "__main__":
    try:
        main()
    except (processes.Failure, load.Failure) as failure:
        sys.exit(f"bench-peers: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
