"""Errors against references, and distances between samples."""

from deis.analysis.coverage import density_coverage, precision_recall
from deis.analysis.decomposition import Decomposition, decompose, fitting_error
from deis.analysis.distances import frechet_distance, mmd, sliced_wasserstein
from deis.analysis.metrics import geometric_mean_rmse, per_sample_rmse, rmse
from deis.analysis.reference import INDEPENDENT, CoarseReferenceError, Reference, reference

__all__ = [
    "INDEPENDENT",
    "CoarseReferenceError",
    "Decomposition",
    "Reference",
    "decompose",
    "density_coverage",
    "fitting_error",
    "frechet_distance",
    "geometric_mean_rmse",
    "mmd",
    "per_sample_rmse",
    "precision_recall",
    "reference",
    "rmse",
    "sliced_wasserstein",
]
