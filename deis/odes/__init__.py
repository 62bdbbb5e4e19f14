"""Semilinear ODEs: the abstract class, constant linear parts, and problems with known solutions."""

from deis.odes.base import Clock, SemilinearODE
from deis.odes.constant import DenseODE, DiagonalODE
from deis.odes.problems import PROBLEMS, Bernoulli, HochbruckOstermann, Problem, ProtheroRobinson

__all__ = [
    "PROBLEMS",
    "Bernoulli",
    "Clock",
    "DenseODE",
    "DiagonalODE",
    "HochbruckOstermann",
    "Problem",
    "ProtheroRobinson",
    "SemilinearODE",
]
