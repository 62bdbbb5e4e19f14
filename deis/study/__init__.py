"""Studies: samples drawn in batches, and integrators compared at equal budgets."""

from deis.study.batches import Drawn, Request, draw, watched
from deis.study.comparison import Result, budgeted, compare, criterion, reference_samples, winners
from deis.study.config import Method, Study
from deis.study.measures import frechet_to_digits
from deis.study.places import MisplacedError
from deis.study.reading import StudyError, load_study
from deis.study.report import report
from deis.study.runner import run
from deis.study.targets import ModelTarget, ProblemTarget
from deis.study.tune_report import tune_report
from deis.study.workers import WorkerDied

__all__ = [
    "Drawn",
    "Method",
    "MisplacedError",
    "ModelTarget",
    "ProblemTarget",
    "Request",
    "Result",
    "Study",
    "StudyError",
    "WorkerDied",
    "budgeted",
    "compare",
    "criterion",
    "draw",
    "frechet_to_digits",
    "load_study",
    "reference_samples",
    "report",
    "run",
    "tune_report",
    "watched",
    "winners",
]
