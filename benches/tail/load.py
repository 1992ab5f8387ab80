"""The client: oha at a fixed rate, whatever the answers do, and what became of every request."""

import http.client
import json
import sqlite3
import subprocess
import time
from dataclasses import dataclass

import processes

READY_DEADLINE = 10  # seconds
TIME_LIMIT = 5  # seconds; the proxies give up after one


class Failure(Exception):
    """A load that is not what it says."""


@dataclass
class Outcome:
    """Of the requests that began after the warm-up."""

    latencies: list  # of those answered 2xx: seconds from when it was due to the last byte, sorted
    failures: dict  # what came instead -> how many
    unsent: int  # due, but never sent


class Load:
    """Runs from its making on. Leaving the `with` ends it."""

    def __init__(self, oha, port, options, folder):
        self.options, self.rows, self.report = options, folder / "oha.sqlite", folder / "oha.json"
        command = ["taskset", "-c", str(options.load_cpu), str(oha), "--no-tui", "--worker-threads", "1"]
        command += ["-q", str(options.rate), "--latency-correction", "-c", str(options.connections)]
        command += ["-z", f"{self.seconds()}s", "-w", "-t", f"{TIME_LIMIT}s", "--redirect", "0"]
        command += ["--output-format", "json", "-o", str(self.report), "--db-url", str(self.rows)]
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [*command, f"http://127.0.0.1:{port}/"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self.server = processes.Server("oha", port, self.process)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def seconds(self):
        return self.options.warmup + self.options.seconds

    def wait_until(self, second):
        """Of the load's own time; what is due then is done by the caller."""
        time.sleep(max(self.begun + second - time.monotonic(), 0))
        if self.process.poll() is not None:
            raise Failure(f"oha ended early: {self.process.communicate()[1]}")

    def outcome(self):
        _, problem = self.process.communicate(timeout=self.seconds() + 4 * TIME_LIMIT)
        if self.process.returncode != 0:
            raise Failure(f"oha: {problem}")
        errors = json.loads(self.report.read_text())["errorDistribution"]
        with sqlite3.connect(self.rows) as rows:
            total = rows.execute("SELECT count(*) FROM oha").fetchone()[0]
            # When it was due, not when a connection had time for it; that is where coordinated omission hides.
            kept = "SELECT duration, status FROM oha WHERE start_latency_correction >= ?"
            answers = rows.execute(kept, [self.options.warmup]).fetchall()
        unsent = round(self.options.rate * self.seconds()) - total - sum(errors.values())
        return Outcome(sorted(good(answers)), failures(answers, errors), max(unsent, 0))


def good(answers):
    return (duration for duration, status in answers if 200 <= status < 300)


def failures(answers, errors):
    """oha does not say when an error was; nothing goes wrong in the warm-up, so all count."""
    counts = dict(errors)
    for _, status in answers:
        if not 200 <= status < 300:
            counts[str(status)] = counts.get(str(status), 0) + 1
    return counts


def await_answer(server):
    """A proxy that listens may not know its endpoints yet."""
    deadline = time.monotonic() + READY_DEADLINE
    while time.monotonic() < deadline:
        status = answered(server.port)
        if status == 200:
            return
        time.sleep(0.05)
    raise Failure(f"{server.name} answers {status}, not 200")


def answered(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIME_LIMIT)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        return problem
    finally:
        connection.close()
