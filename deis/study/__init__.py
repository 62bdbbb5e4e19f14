"""Studies: samples drawn in batches, and integrators compared at equal budgets."""

from deis.study.batches import Drawn, Request, draw, watched
from deis.study.comparison import Result, best, budgeted, compare, merit, reference_samples
from deis.study.digits import frechet_to_digits
from deis.study.report import report

__all__ = [
    "Drawn",
    "Request",
    "Result",
    "best",
    "budgeted",
    "compare",
    "draw",
    "frechet_to_digits",
    "merit",
    "reference_samples",
    "report",
    "watched",
]
