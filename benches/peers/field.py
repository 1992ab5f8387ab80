"""The proxies of the comparison. What each is told stands in config/."""

from dataclasses import dataclass

import processes
from machine import envoy_version, find, first_line, haproxy_version, in_venv, nginx_version, venv

# What listeners are called in the templates: HTTP/1.1 without TLS, HTTP/2 without TLS, TLS for both with an ECDSA certificate,
# and with an RSA certificate.
PLAIN, H2C, TLS, RSA = "PORT", "H2C", "TLS", "RSA"


@dataclass
class Proxy:
    name: str
    template: str
    words: list  # the command, without the path of the config
    version: str

    def start(self, servers, cpu, values):
        """On free ports, which the server then has by name."""
        template = (servers.templates / self.template).read_text()
        ports = {name: processes.free_port() for name in (H2C, TLS, RSA) if f"@{name}@" in template}
        server = servers.start(self.name, (self.template, self.words), cpu, values | ports, also=ports.values())
        server.ports = {PLAIN: server.port, **ports}
        return server


def present(options):
    """Those that can be measured, and a line for each that cannot."""
    found = [tillgate("tillgate", options.tillgate), nginx("nginx"), haproxy()]
    if options.before:
        found.append(tillgate("before", options.before))
    binary = in_venv("envoy/_bin/envoy")
    missing = [] if binary else [f"envoy: not in {venv()}; `scripts/install-deps.sh bench-peers` puts it there"]
    return found + [envoy(binary)] if binary else found, missing


def tillgate(name, binary):
    return Proxy(name, "tillgate.yaml", [binary, "run", "--config"], first_line(binary, "--version"))


def nginx(name, template="nginx.conf"):
    """Also the backend."""
    binary = find("nginx")
    return Proxy(name, template, [binary, "-e", "stderr", "-c"], nginx_version({"nginx": binary}))


def haproxy():
    binary = find("haproxy")
    return Proxy("haproxy", "haproxy.cfg", [binary, "-db", "-q", "-f"], haproxy_version({"haproxy": binary}))


def envoy(binary):
    # No hot restart: it would share memory with every other Envoy on the machine.
    words = [binary, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"]
    return Proxy("envoy", "envoy.yaml", words, f"envoy {envoy_version(binary)}")
