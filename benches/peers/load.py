"""The client: wrk for the load, and a plain request to see that the answer is the right one."""

import http.client
import re
import subprocess
from dataclasses import dataclass

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}  # seconds


class Failure(Exception):
    """Answers that are wrong, or none."""


@dataclass
class Figures:
    """Of one run of wrk; times in seconds."""

    requests: int
    requests_per_second: float
    p50: float
    p99: float


def run(port, path, connections, seconds, cpu):
    url = f"http://127.0.0.1:{port}/{path}"
    command = ["taskset", "-c", str(cpu), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url]
    output = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if output.returncode != 0:
        raise Failure(f"wrk {url}: {output.stderr.strip() or output.stdout.strip()}")
    return parsed(output.stdout, url)


def parsed(text, url):
    # Without these lines every request was answered, and answered with 2xx or 3xx.
    for trouble in ("Socket errors", "Non-2xx"):
        if trouble in text:
            raise Failure(f"wrk {url}:\n{text}")
    return Figures(
        requests=int(found(r"(\d+) requests in", text)),
        requests_per_second=float(found(r"Requests/sec:\s+([\d.]+)", text)),
        p50=duration(found(r"(?m)^\s+50%\s+(\S+)", text)),
        p99=duration(found(r"(?m)^\s+99%\s+(\S+)", text)),
    )


def found(pattern, text):
    match = re.search(pattern, text)
    if match is None:
        raise Failure(f"wrk says nothing that fits {pattern}:\n{text}")
    return match[1]


def duration(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * UNITS[unit]


def check(port, path, size):
    """A proxy that answers something else, and faster, is not to win."""
    status, body = get(port, f"/{path}")
    if (status, len(body)) != (200, size):
        raise Failure(f"/{path} on port {port} is answered {status} with {len(body)} bytes, not 200 with {size}")


def accepted(port):
    """How many connections the backend has taken since its start."""
    _, body = get(port, "/connections")
    return int(body.splitlines()[2].split()[0])


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
