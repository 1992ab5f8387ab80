"""What is printed: the machine, and a table for each workload that reads as text and as Markdown."""

import os
import platform
from dataclasses import dataclass
from statistics import median

from machine import cpu_model, first_line, print_table

# Share of the proxy's core that went to somebody else, from which on a run is called disturbed.
DISTURBED = 0.05
IDLE_HEADER = ["workload", "proxy", "RSS MiB before", "RSS MiB", "KiB per connection"]
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
    opened: int | None  # connections to the backend, where it counts them


@dataclass
class Idle:
    """One proxy with idle connections: resident bytes before the first, and with all."""

    empty: int
    full: int


def print_machine(options, proxies):
    print(f"machine   {cpu_model()}, {os.cpu_count()} cores, Linux {platform.release()}")
    clients = f"wrk 1 thread; {first_line('h2load', '--version')}"
    print(f"versions  {'; '.join(proxy.version for proxy in proxies)}; {clients}")
    print(f"cores     proxy on {options.proxy_cpu}, clients and backend on {options.load_cpu}")
    print(f"load      {options.connections} connections of wrk, {options.rounds} rounds of {options.seconds} s, median of rounds")
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

    counted = rounds[0].opened is not None
    return [
        workload,
        name,
        f"{mid('requests_per_second'):.0f}",
        f"{mid('p50') * 1e3:.2f}",
        f"{mid('p99') * 1e3:.2f}",
        f"{mid('cpu_us'):.1f}",
        f"{mid('core_busy') * 100:.0f} %",
        f"{mid('resident') / 2**20:.1f}",
        f"{mid('opened'):.0f}" if counted else "-",
    ]


def comparisons(results):
    return compared("CPU per request", results, lambda one: one.cpu_us)


def compared(what, results, cost):
    """Beside the peer whose median is the lowest, and beside another build where there is one."""
    if "tillgate" not in results:
        return
    peers = [name for name in results if name not in ("tillgate", "before")]
    if peers:
        best = min(peers, key=lambda name: median(map(cost, results[name])))
        yield f"{what}: tillgate costs {ratio(results, best, cost)} {best}, the best of the peers"
    if "before" in results:
        yield f"{what}: tillgate costs {ratio(results, 'before', cost)} the other build"


def ratio(results, other, cost):
    """Round by round: what slows a whole round cancels out."""
    ratios = [cost(ours) / cost(theirs) for ours, theirs in zip(results["tillgate"], results[other])]
    return f"{median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f} over the rounds)"


def warnings(results):
    for name, rounds in results.items():
        disturbed = sum(one.others > DISTURBED for one in rounds)
        if disturbed:
            worst = max(one.others for one in rounds)
            yield f"{name}: others used the proxy's core in {disturbed} of {len(rounds)} rounds, up to {worst * 100:.0f} %"


def print_idle(workload, number, results):
    print()
    print_table([IDLE_HEADER, *(idle_row(workload, number, name, rounds) for name, rounds in results.items())], names=2)
    print()
    for comparison in compared(f"memory with {number} connections", results, lambda one: one.full):
        print(comparison)


def idle_row(workload, number, name, rounds):
    empty, full = (median(getattr(one, field) for one in rounds) for field in ("empty", "full"))
    each = median(one.full - one.empty for one in rounds) / number
    return [workload, name, f"{empty / 2**20:.1f}", f"{full / 2**20:.1f}", f"{each / 1024:.2f}"]
