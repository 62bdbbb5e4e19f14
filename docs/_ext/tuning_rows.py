"""Rows of the table of what tuning gains, from the results of ``benchmarks.tuning.measure``."""

from collections.abc import Iterator, Mapping
from typing import Any

HEAD = ("calls", "best published", "its error", "chosen", "learnt", "Fréchet distances")


def rows(content: Mapping[str, Any]) -> Iterator[list[str]]:
    """The heading of one model, then a row a budget; a dash for what was not measured."""
    yield [f"``{content['model']}``"]
    for nfe, budget in sorted(content["budgets"].items(), key=lambda item: int(item[0])):
        rival = budget["published"]
        yield [
            nfe,
            f"``{rival['sampler']}``",
            f"{rival['error'][0]:.2g}",
            *(_ratio(budget, role) for role in ("chosen", "learnt")),
            _distances(rival, budget[budget["returned"]]),
        ]


def _ratio(budget: Mapping[str, Any], role: str) -> str:
    """Value and interval; the value in bold for the plan that was returned."""
    if role not in budget:
        return "-"
    value, low, high = (f"{number:.2g}" for number in budget[role]["ratio"])
    return f"{f'**{value}**' if budget['returned'] == role else value} ({low} to {high})"


def _distances(*plans: Mapping[str, Any]) -> str:
    known = [f"{plan['frechet']:.2g}" if "frechet" in plan else "-" for plan in plans]
    return "-" if {*known} == {"-"} else ", ".join(known)
