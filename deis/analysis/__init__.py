"""Errors against references, and distances between samples."""

from deis.analysis.convergence import ConvergenceStudy, ErrorCurve, convergence
from deis.analysis.coverage import density_coverage, precision_recall
from deis.analysis.decomposition import Decomposition, decompose, fitting_error
from deis.analysis.defects import (
    LocalDefects,
    QuadratureDefect,
    StepDefect,
    local_defects,
    path_defects,
    quadrature_defects,
)
from deis.analysis.distances import frechet_distance, mmd, sliced_wasserstein
from deis.analysis.metrics import geometric_mean_rmse, per_sample_rmse, rmse
from deis.analysis.order import OrderFit, fit_order
from deis.analysis.reference import INDEPENDENT, CoarseReferenceError, Reference, reference
from deis.analysis.stability import Stability, StepStability, stability
from deis.analysis.work_precision import WorkPoint, WorkPrecision, states_alive, work_precision

__all__ = [
    "INDEPENDENT",
    "CoarseReferenceError",
    "ConvergenceStudy",
    "Decomposition",
    "ErrorCurve",
    "LocalDefects",
    "OrderFit",
    "QuadratureDefect",
    "Reference",
    "Stability",
    "StepDefect",
    "StepStability",
    "WorkPoint",
    "WorkPrecision",
    "convergence",
    "decompose",
    "density_coverage",
    "fit_order",
    "fitting_error",
    "frechet_distance",
    "geometric_mean_rmse",
    "local_defects",
    "mmd",
    "path_defects",
    "per_sample_rmse",
    "precision_recall",
    "quadrature_defects",
    "reference",
    "rmse",
    "sliced_wasserstein",
    "stability",
    "states_alive",
    "work_precision",
]
