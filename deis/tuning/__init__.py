"""Tuning: the best sampler, grid and coefficients for one model and one budget, by measurement."""

from deis.tuning.bent import BentGrid
from deis.tuning.candidates import NAMED, NAMED_GRIDS, Candidate, candidates
from deis.tuning.choose import Scored, choose
from deis.tuning.coefficient_bound import CoefficientBound
from deis.tuning.contest import Standing
from deis.tuning.ensemble import Ensemble, samples
from deis.tuning.gradient_fit import GradientFit
from deis.tuning.grid import GridObjective
from deis.tuning.influence import influence
from deis.tuning.interval import Interval
from deis.tuning.learn import Learnt, learn
from deis.tuning.pairs import Pairs, make_pairs
from deis.tuning.trainable import Trainable, folded
from deis.tuning.training import Training
from deis.tuning.trajectory_fit import TrajectoryFit
from deis.tuning.units import natural_units

__all__ = [
    "NAMED",
    "NAMED_GRIDS",
    "BentGrid",
    "Candidate",
    "CoefficientBound",
    "Ensemble",
    "GradientFit",
    "GridObjective",
    "Interval",
    "Learnt",
    "Pairs",
    "Scored",
    "Standing",
    "Trainable",
    "Training",
    "TrajectoryFit",
    "candidates",
    "choose",
    "folded",
    "influence",
    "learn",
    "make_pairs",
    "natural_units",
    "samples",
]
