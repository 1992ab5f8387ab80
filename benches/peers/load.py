"""The clients: wrk, h2load and the bench's own for the load, and a plain request to see that the answer is the right one."""

import http.client
import json
import os
import re
import ssl
import subprocess
from dataclasses import dataclass

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}  # seconds
PATIENCE = 60  # seconds that a client may take longer than it was told to


class Failure(Exception):
    """Answers that are wrong, or none."""


@dataclass
class Figures:
    """Of one run of a client; times in seconds."""

    requests: int
    requests_per_second: float
    p50: float
    p99: float


@dataclass
class Clients:
    """Where the clients are, on which core they run, and the folder with the certificates."""

    own: str  # the example peers_client
    cpu: int
    folder: str

    def wrk(self, url, connections, seconds):
        text = self.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url], seconds)
        # Without these lines every request was answered, and answered with 2xx or 3xx.
        refuse(r"Socket errors|Non-2xx", text)
        return Figures(
            requests=int(found(r"(\d+) requests in", text)),
            requests_per_second=float(found(r"Requests/sec:\s+([\d.]+)", text)),
            p50=duration(found(r"(?m)^\s+50%\s+(\S+)", text)),
            p99=duration(found(r"(?m)^\s+99%\s+(\S+)", text)),
        )

    def h2load(self, url, connections, streams, seconds):
        log = self.folder / "h2load.log"
        log.unlink(missing_ok=True)
        words = ["-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", f"--log-file={log}", url]
        text = self.run(["h2load", *words], seconds)
        refuse(r"[1-9]\d* (failed|errored|timeout|3xx|4xx|5xx)", text)
        if url.startswith("https:"):
            found("(TLSv1.3)", text)
            found("(TLS_AES_128_GCM_SHA256)", text)
        # Start, status and microseconds, one line for each request.
        latencies = sorted(int(line.split()[2]) / 1e6 for line in log.open())
        requests = int(found(r"(\d+) succeeded", text))
        if not 0 < requests <= len(latencies):
            raise Failure(f"h2load has {len(latencies)} latencies of {requests} requests:\n{text}")
        return Figures(
            requests=requests,
            requests_per_second=requests / seconds,
            p50=latencies[len(latencies) // 2],
            p99=latencies[len(latencies) * 99 // 100],
        )

    def ask(self, port, connections, seconds, *words):
        """By the bench's own client."""
        data = json.loads(self.run(self.own_words(port, connections, *words, seconds=seconds), seconds))
        return Figures(data["requests"], data["requests"] / data["seconds"], data["p50_us"] / 1e6, data["p99_us"] / 1e6)

    def own_words(self, port, connections, *words, seconds=1):
        return [self.own, f"--to=127.0.0.1:{port}", f"--connections={connections}", f"--seconds={seconds}", *words]

    def run(self, words, seconds):
        try:
            output = subprocess.run(timeout=seconds + PATIENCE, check=False, **self.how(words))
        except subprocess.TimeoutExpired:
            raise Failure(f"{said(words)}: does not end") from None
        if output.returncode != 0:
            raise Failure(f"{said(words)}: {output.stderr.strip() or output.stdout.strip()}")
        return output.stdout

    def hold(self, port, connections, *words):
        return Held(self.how(self.own_words(port, connections, *words)))

    def how(self, words):
        # wrk and h2load would let each proxy choose its own cipher; the file leaves one to choose.
        environment = {**os.environ, "OPENSSL_CONF": str(self.folder / "openssl.cnf")}
        pinned = ["taskset", "-c", str(self.cpu), *map(str, words)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return {"args": pinned, "env": environment, "text": True, **pipes}


class Held:
    """Idle connections. Leaving the `with` ends them, and fails if one was closed before."""

    def __init__(self, how):
        self.process = subprocess.Popen(**how | {"stdin": subprocess.PIPE})

    def __enter__(self):
        if not self.process.stdout.readline():
            self.end()
            raise Failure("idle connections: ended before they were all open")
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.end()
        else:
            self.process.kill()
            self.process.communicate()

    def end(self):
        try:
            _, problem = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise Failure("idle connections: the client does not end") from None
        if self.process.returncode != 0:
            raise Failure(f"idle connections: {problem.strip()}")


def said(words):
    return " ".join(map(str, words))


def refuse(pattern, text):
    if re.search(pattern, text):
        raise Failure(text)


def found(pattern, text):
    match = re.search(pattern, text)
    if match is None:
        raise Failure(f"the client says nothing that fits {pattern}:\n{text}")
    return match[1]


def duration(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * UNITS[unit]


def check(port, path, size, ca=None):
    """A proxy that answers something else, and faster, is not to win."""
    status, body = get(port, f"/{path}", ca)
    if (status, len(body)) != (200, size):
        raise Failure(f"/{path} on port {port} is answered {status} with {len(body)} bytes, not 200 with {size}")


def accepted(port):
    """How many connections the backend has taken since its start."""
    _, body = get(port, "/connections")
    return int(body.splitlines()[2].split()[0])


def get(port, path, ca=None):
    if ca:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl.create_default_context(cafile=ca))
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
