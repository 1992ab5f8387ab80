"""What is printed: the machine, and a table for each workload that reads as text and as Markdown."""

import os
import platform
from dataclasses import dataclass
from statistics import median

from machine import cpu_model, first_line, haproxy_version, nginx_version, print_table

# Share of the proxy's core that went to somebody else, from which on a run is called disturbed.
DISTURBED = 0.05
HEADER = ["workload", "proxy", "requests/s", "p50 ms", "p99 ms", "CPU us/request", "core busy", "RSS MiB", "upstream connects"]


@dataclass
class Round:
    """One proxy under load for some seconds. Times in seconds, except where the name says otherwise."""

    requests_per_second: float
    p50: float
    p99: float
    cpu_us: float  # per request
    core_busy: float  # share of the proxy's core that the proxy used
    others: float  # share of it that others used
    resident: int  # bytes
    opened: int  # connections to the backend


def print_machine(options, tools):
    print(f"machine   {cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}")
    print(f"versions  {first_line(options.tillgate, '--version')}; {nginx_version(tools)}; {haproxy_version(tools)}; wrk 1 thread")
    print(f"cores     proxy on {options.proxy_cpu}, wrk and backend on {options.load_cpu}")
    print(f"load      {options.connections} connections, {options.rounds} rounds of {options.seconds} s, median of rounds")
    print(f"others    load average {os.getloadavg()[0]:.2f} at the start")


def print_workload(workload, results):
    print()
    print_table([HEADER, *(row(workload, name, rounds) for name, rounds in results.items())], names=2)
    print()
    for comparison in comparisons(results):
        print(comparison)
    for warning in warnings(results):
        print(f"WARNING: {warning}")


def row(workload, name, rounds):
    def mid(field):
        return median(getattr(one, field) for one in rounds)

    return [
        workload,
        name,
        f"{mid('requests_per_second'):.0f}",
        f"{mid('p50') * 1e3:.2f}",
        f"{mid('p99') * 1e3:.2f}",
        f"{mid('cpu_us'):.1f}",
        f"{mid('core_busy') * 100:.0f} %",
        f"{mid('resident') / 2**20:.1f}",
        f"{mid('opened'):.0f}",
    ]


def comparisons(results):
    """Beside the peer whose median is the lower, and beside another build where there is one."""
    peers = [name for name in results if name not in ("tillgate", "before")]
    best = min(peers, key=lambda name: median(one.cpu_us for one in results[name]))
    yield f"CPU per request: tillgate costs {ratio(results, best)} {best}, the better of the two"
    if "before" in results:
        yield f"CPU per request: tillgate costs {ratio(results, 'before')} the other build"


def ratio(results, other):
    """Round by round: what slows a whole round cancels out."""
    ratios = [ours.cpu_us / theirs.cpu_us for ours, theirs in zip(results["tillgate"], results[other])]
    return f"{median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f} over the rounds)"


def warnings(results):
    for name, rounds in results.items():
        disturbed = sum(one.others > DISTURBED for one in rounds)
        if disturbed:
            worst = max(one.others for one in rounds)
            yield f"{name}: others used the proxy's core in {disturbed} of {len(rounds)} rounds, up to {worst * 100:.0f} %"
