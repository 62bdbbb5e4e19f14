"""Seeds written as text."""

import re
from typing import Final

from deis.errors import ArgumentError

MOST_SEEDS: Final = 1_000_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds written as numbers and ranges.

    :raises ArgumentError: if the text is malformed, a seed comes twice or is out of range, or there are too many.

    >>> parse_seeds("1,5,9-12")
    (1, 5, 9, 10, 11, 12)
    """
    ranges = [_span(part) for part in text.split(",")]
    if sum(map(len, ranges)) > MOST_SEEDS:
        raise ArgumentError("seeds", f"must be at most {MOST_SEEDS} numbers", text, "split them over several runs")
    seeds = tuple(seed for span in ranges for seed in span)
    if len(set(seeds)) < len(seeds):
        raise ArgumentError("seeds", "must name each number once", text)
    return seeds


def _span(part: str) -> range:
    match = re.fullmatch(r"\s*([0-9]{1,19})(?:-([0-9]{1,19}))?\s*", part)
    if not match:
        rule = "must be numbers and ranges of numbers from 0 to 2^63 - 1"
        raise ArgumentError("seeds", rule, part, "for example 0-63 or 1,5,9-12")
    first, last = int(match[1]), int(match[2] or match[1])
    if first > last:
        raise ArgumentError("seeds", "must have ranges that rise", part, f"write {last}-{first}")
    if last >= 2**63:
        raise ArgumentError("seeds", "must be at most 2^63 - 1", last)
    return range(first, min(last, first + MOST_SEEDS) + 1)
