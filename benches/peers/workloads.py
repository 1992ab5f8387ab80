"""What is asked for, of whom, and by which client."""

from dataclasses import dataclass

import load
from field import H2C, PLAIN, RSA, TLS

# What the backend serves, in bytes.
FILES = {"small": 100, "64k": 64 * 1024, "1m": 1024 * 1024}
# Of HTTP/2 and gRPC.
CONNECTIONS, STREAMS = 16, 16
# Who shakes hands at a time.
VISITORS = 16
IDLE = 10_000
HTTP = ("tillgate", "before", "nginx", "haproxy")


class UnderLoad:
    """Asked as often as it answers. What is the same for most."""

    proxies = HTTP
    files = 2048
    through_backend = True


@dataclass
class Get(UnderLoad):
    """wrk, HTTP/1.1 on connections that stay open."""

    name: str
    port: str
    path: str

    def check(self, server, clients):
        ca = clients.folder / "ca.pem" if self.port == TLS else None
        load.check(server.ports[self.port], self.path, FILES[self.path], ca)

    def run(self, server, clients, options, seconds):
        scheme = "https" if self.port == TLS else "http"
        url = f"{scheme}://127.0.0.1:{server.ports[self.port]}/{self.path}"
        return clients.wrk(url, options.connections, seconds)


@dataclass
class Http2(UnderLoad):
    """h2load, which checks statuses; lengths are those of HTTP/1.1."""

    name: str
    port: str

    def check(self, server, clients):
        load.check(server.ports[PLAIN], "small", FILES["small"])

    def run(self, server, clients, options, seconds):
        scheme = "https" if self.port == TLS else "http"
        return clients.h2load(f"{scheme}://127.0.0.1:{server.ports[self.port]}/small", CONNECTIONS, STREAMS, seconds)


@dataclass
class Own(UnderLoad):
    """The bench's own client, which checks every answer."""

    name: str
    port: str
    connections: int
    words: list
    proxies: tuple = HTTP
    through_backend: bool = True

    def check(self, server, clients):
        pass  # at every request

    def run(self, server, clients, options, seconds):
        words = [word.format(folder=clients.folder) for word in self.words]
        return clients.ask(server.ports[self.port], self.connections, seconds, *words)


@dataclass
class Idle:
    """Connections that were answered once and stay open: their memory is measured, nothing else."""

    name: str
    port: str
    words: list
    proxies = HTTP
    files = IDLE + 500

    def check(self, server, clients):
        load.check(server.ports[PLAIN], "small", FILES["small"])

    def hold(self, server, clients):
        words = [word.format(folder=clients.folder) for word in self.words]
        return clients.hold(server.ports[self.port], IDLE, *words)


CA = "--ca={folder}/ca.pem"
WORKLOADS = [
    Get("small", PLAIN, "small"),
    Get("64k", PLAIN, "64k"),
    Get("1m", PLAIN, "1m"),
    Get("tls-small", TLS, "small"),
    Get("tls-64k", TLS, "64k"),
    Own("handshake", TLS, VISITORS, ["handshake", CA]),
    Own("handshake-rsa", RSA, VISITORS, ["handshake", CA]),
    Own("resumption", TLS, VISITORS, ["handshake", CA, "--resume"]),
    Http2("h2", TLS),
    Http2("h2c", H2C),
    Own("websocket", PLAIN, 64, ["websocket"], (*HTTP, "envoy"), through_backend=False),
    Own("grpc", H2C, CONNECTIONS, ["grpc", f"--streams={STREAMS}"], (*HTTP, "envoy"), through_backend=False),
    Idle("idle", PLAIN, ["idle"]),
    Idle("idle-tls", TLS, ["idle", CA]),
]
