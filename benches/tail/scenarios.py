"""What the four endpoints are like, and what happens to them. Times in milliseconds.

Endpoints have no queue: a request takes what the law says, however many wait beside it. So the scenarios say how well a
proxy chooses, and not how it behaves when there is more to do than endpoints can.
"""

from dataclasses import dataclass, field

ENDPOINTS = 4

EXPONENTIAL = {"service": {"exponential_ms": 4}}  # p50 2.8, p99 18.4, p99.9 27.6: nothing chosen well is better
STEADY = {"service": {"fixed_ms": 4.4}}
HEAVY = {"service": {"fixed_ms": 2}, "tail": {"share": 0.03, "extra_ms": 80}}  # the mean of STEADY
STALLING = {**EXPONENTIAL, "stall": {"for_ms": 250, "every_ms": [2000, 3000]}}
SLOW = {**EXPONENTIAL, "slow_factor": 10}
VERY_SLOW = {**EXPONENTIAL, "slow_factor": 20}
HANGING = {**EXPONENTIAL, "fault": "hang"}
FAILING = {**EXPONENTIAL, "fault": {"status": 503}}


@dataclass
class Scenario:
    """`begin` and `end` are what happens to the last endpoint after one and after two thirds of the time."""

    name: str
    says: str
    laws: list = field(default_factory=lambda: [EXPONENTIAL] * ENDPOINTS)
    begin: object = None  # a law, or "kill"
    end: object = None  # a law, or "start"


def in_the_middle(name, says, law):
    return Scenario(name, says, begin=law, end=EXPONENTIAL)


SCENARIOS = [
    Scenario("equal", "all alike: exponential, mean 4 ms"),
    Scenario("heavy", "two: 97 % 2 ms, 3 % 82 ms; two: always 4.4 ms, the same mean", [HEAVY, HEAVY, STEADY, STEADY]),
    Scenario("stalls", "two stand still for 250 ms every 2-3 s, not in phase", [STALLING, STALLING, EXPONENTIAL, EXPONENTIAL]),
    Scenario("slow", "one is 10 times slower", [EXPONENTIAL, EXPONENTIAL, EXPONENTIAL, SLOW]),
    in_the_middle("turns-slow", "one is 20 times slower in the middle third", VERY_SLOW),
    Scenario("crash", "one is killed after a third, and starts again after two", begin="kill", end="start"),
    in_the_middle("hang", "one takes requests and answers none in the middle third", HANGING),
    in_the_middle("errors", "one answers 503 at once in the middle third", FAILING),
]
