"""The servers that the benches measure: started on free ports, pinned to a core, watched through /proc, stopped by
their id."""

import os
import socket
import subprocess
import time
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
START_DEADLINE = 10  # seconds
STOP_DEADLINE = 5  # seconds


class Failure(Exception):
    """A server that did not do as it was told."""


class Servers:
    """Those that run. Leaving the `with` stops them all."""

    def __init__(self, folder, templates):
        self.folder, self.templates, self.running = folder, templates, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.running:
            server.process.terminate()
        for server in self.running:
            server.reap()

    def start(self, name, command, cpu, values, port=None, also=()):
        """`command` is the name of a template and the words that come before the path of what is made from it; `also` are
        other ports that it listens on."""
        template, words = command
        port = port or free_port()
        config = self.folder / f"{name}-{template}"
        config.write_text(filled(self.templates / template, {"DIR": self.folder, "NAME": name, "PORT": port, **values}))
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            pinned = ["taskset", "-c", str(cpu), *map(str, words), str(config)]
            process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        server = Server(name, port, process)
        self.running.append(server)
        for one in (port, *also):
            server.await_port(one, log)
        return server


def filled(template, values):
    text = template.read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """taskset becomes the server, so the child's id is the server's."""

    def __init__(self, name, port, process):
        self.name, self.port, self.process = name, port, process

    def await_port(self, port, log):
        deadline = time.monotonic() + START_DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.name} did not start:\n{log.read_text(errors='replace').strip()}")

    def kill(self):
        """As a crash does it: nothing is finished."""
        self.process.kill()
        self.process.wait()

    def reap(self):
        try:
            self.process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_seconds(self):
        """User and system time of all threads of all processes, those of a master's workers too."""
        ticks = 0
        for pid in self.pids():
            # The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS_PER_SECOND

    def resident_bytes(self):
        """Sum of VmRSS; what master and worker share counts twice."""
        kib = 0
        for pid in self.pids():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            kib += next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return kib * 1024

    def pids(self):
        pid = self.process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


class Core:
    """How much of a core goes to others than these servers, from now on. It tells a disturbed run from a slow proxy."""

    def __init__(self, cpu, servers):
        self.cpu, self.servers = cpu, servers
        self.begun, self.before = time.monotonic(), self.taken()

    def by_others(self):
        """A share of the core."""
        return max(self.taken() - self.before, 0) / (time.monotonic() - self.begun)

    def taken(self):
        return core_seconds(self.cpu) - sum(server.cpu_seconds() for server in self.servers)


def core_seconds(cpu):
    """Time that a core was busy with anything, interrupts and what the host took from it included."""
    lines = Path("/proc/stat").read_text().splitlines()
    fields = next(line.split()[1:] for line in lines if line.startswith(f"cpu{cpu} "))
    # Guest time, fields 9 and 10, is part of the first two already.
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND
