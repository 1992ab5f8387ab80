"""What is printed for a scenario: a table, the ratio to the best peer, and what spoils either."""

import math
import os
import platform
from dataclasses import dataclass, field

from machine import cpu_model, print_table

# Share of either core that went to somebody else, from which on a run is called disturbed.
DISTURBED = 0.05
# Share of the requests that the client may fail to send before the latencies are called wrong.
UNSENT = 0.001
HEADER = ["proxy", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "failed", "shares %"]
PERCENTILES = [0.5, 0.9, 0.99, 0.999]


@dataclass
class Sum:
    """All rounds of one proxy in one scenario."""

    latencies: list = field(default_factory=list)  # seconds, sorted
    failures: dict = field(default_factory=dict)
    received: list = field(default_factory=list)  # by each endpoint
    unsent: int = 0
    others: float = 0.0  # the worst round

    def add(self, outcome, received, others):
        self.latencies = sorted(self.latencies + outcome.latencies)
        for what, count in outcome.failures.items():
            self.failures[what] = self.failures.get(what, 0) + count
        self.received = [a + b for a, b in zip(self.received or [0] * len(received), received)]
        self.unsent += outcome.unsent
        self.others = max(self.others, others)

    def failed(self):
        return sum(self.failures.values())

    def total(self):
        return len(self.latencies) + self.failed()

    def percentile(self, share):
        """Of all requests: one that failed counts as slower than any that was answered, or else failing fast would
        look good. None when that many failed."""
        rank = math.ceil(share * self.total())
        return self.latencies[rank - 1] if 0 < rank <= len(self.latencies) else None

    def shares(self):
        total = sum(self.received) or 1
        return " ".join(f"{count / total * 100:.0f}" for count in self.received)


def print_machine(options, proxies, missing, oha_version):
    print(f"machine   {cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"versions  {'; '.join(f'{one.name} {one.version} ({one.strategy})' for one in proxies)}; {oha_version}")
    print(f"cores     proxy on {options.proxy_cpu}, oha and endpoints on {options.load_cpu}")
    print(f"load      {options.rate} requests/s on {options.connections} connections,", end=" ")
    print(f"{options.rounds} rounds of {options.seconds} s after {options.warmup} s that do not count")
    print(f"others    load average {os.getloadavg()[0]:.2f} at the start")
    for line in missing:
        print(f"LEFT OUT  {line}")


def print_scenario(scenario, sums):
    print(f"\n{scenario.name}: {scenario.says}\n")
    print_table([HEADER, *(row(name, one) for name, one in sums.items())], names=1)
    print()
    if "tillgate" in sums and len(sums) > 1:
        print(", ".join(against_best(sums, share) for share in (0.99, 0.999)))
    print()
    for line in remarks(sums):
        print(f"    {line}")  # in Markdown, too, a line each


def row(name, one):
    figures = [milliseconds(one.percentile(share)) for share in PERCENTILES]
    most = milliseconds(one.latencies[-1] if one.latencies else None)
    return [name, *figures, most, str(one.failed()), one.shares()]


def milliseconds(seconds):
    return "failed" if seconds is None else f"{seconds * 1e3:.1f}"


def against_best(sums, share):
    label = f"p{share * 100:g}"
    ours = sums["tillgate"].percentile(share)
    peers = {name: one.percentile(share) for name, one in sums.items() if not name.startswith("tillgate")}
    best = min((name for name in peers if peers[name] is not None), key=peers.get, default=None)
    if best is None:
        return f"tillgate {label} {milliseconds(ours)}, failed with all peers"
    if ours is None:
        return f"tillgate {label} failed, best peer {milliseconds(peers[best])} ms ({best})"
    return f"tillgate {label} = {ours / peers[best]:.2f} x best peer ({best})"


def remarks(sums):
    for name, one in sums.items():
        if one.failures:
            yield f"failed: {name}: {', '.join(f'{count} x {what}' for what, count in sorted(one.failures.items()))}"
        if one.unsent > UNSENT * one.total():
            yield f"WARNING: {name}: {one.unsent} requests were never sent; more --connections are needed"
        if one.others > DISTURBED:
            yield f"WARNING: {name}: others used up to {one.others * 100:.0f} % of a core"
