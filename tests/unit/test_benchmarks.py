"""Benchmarks compare each figure with its floor, and find a ratio that doubled."""

from __future__ import annotations

import json

from benchmarks.figures import Figure, as_json, as_table, slower


def figure(ours: float, *, cpu: bool = True) -> Figure:
    return Figure(
        part="claims", name="a claim", unit="CPU ms", ours=ours, floor=2, floor_name="f", cpu=cpu
    )


def test_only_a_ratio_of_cpu_times_that_more_than_doubled_is_slower() -> None:
    committed = {"a claim": 1.5}
    assert not slower([figure(6.0)], committed)
    assert slower([figure(6.1)], committed) == [
        "a claim: 3.05 times its floor, and 1.50 when committed"
    ]
    assert not slower([figure(60.0, cpu=False)], committed)
    assert not slower([figure(60.0)], {})


def test_the_table_and_the_json_hold_the_same_figures() -> None:
    made = figure(3.0)
    head, line = as_table([made]).splitlines()
    assert head.split() == [
        "part",
        "figure",
        "ours",
        "floor",
        "ratio",
        "unit",
        "the",
        "floor",
        "is",
    ]
    assert line.split() == ["claims", "a", "claim", "3", "2", "1.50", "CPU", "ms", "f"]
    (read,) = json.loads(as_json([made]))
    assert read["ratio"] == 1.5
    assert read["floor_name"] == "f"
