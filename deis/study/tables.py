"""The results of a study as tables: numbers with their uncertainty, CSV and LaTeX."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Final

import attrs

from deis.study.outcomes import Estimate, Outcome, Outcomes
from deis.study.ranking import best_cells, budgets, metrics

HEADINGS: Final = {
    "error": "Error per sample",
    "error_max": "Largest error",
    "error_rms": "RMS error",
    "frechet": "Frechet distance",
    "mmd": "Maximum mean discrepancy",
    "rmse": "RMSE",
    "sliced_wasserstein": "Sliced Wasserstein distance",
}
_PLAIN: Final = (-4, 4)  # exponents of ten that are written out
_LATEX: Final = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}


@attrs.frozen
class Written:
    """A number as it is printed: ``mantissa`` (and ``spread``) times ten to the ``exponent``."""

    mantissa: str
    spread: str
    exponent: int

    @property
    def power(self) -> str:
        """The power of ten behind a number.

        >>> written(Estimate(0.01234, 0.0119, 0.0128)).power, written(Estimate(3.21e-6)).power
        ('', 'e-06')
        """
        return f"e{self.exponent:+03d}" if self.exponent else ""

    def latex(self, *, bold: bool) -> str:
        """As a formula.

        >>> written(Estimate(3.21e-6, 3.1e-6, 3.3e-6)).latex(bold=True)
        '$(\\\\mathbf{3.21} \\\\pm 0.10) \\\\times 10^{-6}$'
        """
        mantissa = rf"\mathbf{{{self.mantissa}}}" if bold else self.mantissa
        number = rf"{mantissa} \pm {self.spread}" if self.spread else mantissa
        if not self.exponent:
            return f"${number}$"
        return rf"${f'({number})' if self.spread else number} \times 10^{{{self.exponent}}}$"


def written(estimate: Estimate) -> Written:
    """A number to the digits that its uncertainty (half of the interval) leaves: one, or two if it starts with 1.

    >>> written(Estimate(0.5)), written(Estimate(12.3456, 10.0, 14.6))
    (Written(mantissa='0.5', spread='', exponent=0), Written(mantissa='12', spread='2', exponent=0))
    """
    half = 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2
    power = _exponent(max(abs(estimate.value), half))
    exponent = 0 if _PLAIN[0] <= power <= _PLAIN[1] else power
    scale = 10.0**exponent
    spread = half / scale
    if not spread > 0:
        return Written(f"{float(f'{estimate.value / scale:.3g}'):g}", "", exponent)  # .3g writes 1230 as 1.23e+03
    leading = _exponent(spread)
    places = max(0, -leading + (spread < 2 * 10.0**leading))
    return Written(f"{estimate.value / scale:.{places}f}", f"{spread:.{places}f}", exponent)


def heading(metric: str) -> str:
    """A metric in words.

    >>> heading("frechet"), heading("my_own")
    ('Frechet distance', 'My own')
    """
    return HEADINGS.get(metric, metric.replace("_", " ").capitalize())


def by_budget(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """The cells of each budget, rising; those of methods that choose their calls themselves are the last."""
    return [[one for one in outcomes if one.cell.budget == budget] for budget in budgets(outcomes)]


def as_csv(outcomes: Outcomes) -> str:
    """One row a cell, at full precision; what was not measured is empty, and the last two columns are timings."""
    names = metrics(outcomes.cells)
    ends = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = ["id", "target", "label", "integrator", "grid", "budget", "nfe"]
    writer.writerow([*first, *ends, "note", "seconds", "seconds_in_network"])
    for one in outcomes.cells:
        measured = [one.metrics.get(name) for name in names]
        numbers = [number for estimate in measured for number in (attrs.astuple(estimate) if estimate else (None,) * 3)]
        times = attrs.astuple(one.timing) if one.timing else (None, None)
        cell = one.cell
        row = [one.id, cell.target, cell.label, cell.integrator, cell.grid, cell.budget, one.nfe]
        writer.writerow([*row, *numbers, one.note, *times])
    return text.getvalue()


def as_latex(outcomes: Outcomes) -> str:
    """A table with the rules of the package booktabs for each target, the best of each budget in bold."""
    tables = [_latex_table(target, outcomes.of(target)) for target in outcomes.targets]
    return "\n".join(["% \\usepackage{booktabs}", *tables])


def latex(text: str) -> str:
    """Plain text as LaTeX.

    >>> print(latex("50% of a_b"))
    50\\% of a\\_b
    """
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _latex_table(target: str, outcomes: Sequence[Outcome]) -> str:
    names, best = metrics(outcomes), best_cells(outcomes)
    lines = []
    for number, group in enumerate(by_budget(outcomes)):
        lines += [r"\midrule"] if number else []
        for one in group:
            numbers = [
                written(one.metrics[name]).latex(bold=(one.id, name) in best) if name in one.metrics else "--"
                for name in names
            ]
            calls = "--" if one.nfe is None else str(one.nfe)
            lines.append(" & ".join([latex(one.cell.label), latex(one.cell.grid), calls, *numbers]) + r" \\")
    titles = ["Integrator", "Grid", "NFE", *(latex(heading(name)) for name in names)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{Results on {latex(target)}, with 95\,\% intervals; the best of each budget in bold.}}",
            rf"\begin{{tabular}}{{llr{'r' * len(names)}}}",
            r"\toprule",
            " & ".join(titles) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0
