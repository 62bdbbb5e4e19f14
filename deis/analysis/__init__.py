"""Errors against references, and distances between samples."""

from deis.analysis.metrics import frechet_distance, geometric_mean_rmse, rmse
from deis.analysis.reference import Reference, reference

__all__ = ["Reference", "frechet_distance", "geometric_mean_rmse", "reference", "rmse"]
