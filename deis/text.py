"""Plain text for people."""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]], right: str = "") -> list[str]:
    """Rows of cells as lines with aligned columns.

    :param right: one letter a column, ``r`` for those set to the right; left is the default.

    >>> columns([["a", "1"], ["bcd", "20"]], "lr")
    ['a     1', 'bcd  20']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if side == "r" else "<" for side in right.ljust(len(widths), "l")]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]


def number(value: float | None, digits: int = 2) -> str:
    """A number in a few digits; a dash for what is not known.

    >>> number(0.000123), number(12), number(None)
    ('0.00012', '12', '-')
    """
    return "-" if value is None else f"{value:.{digits}g}"


def listed(words: Sequence[str]) -> str:
    """Words as English lists them.

    >>> listed(["5"]), listed(["5", "10", "20"])
    ('5', '5, 10 and 20')
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
