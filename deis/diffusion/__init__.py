"""Diffusion models as semilinear ODEs."""

from deis.diffusion.analytic import second_moments
from deis.diffusion.brownian import BrownianNoise
from deis.diffusion.discrete import DiscreteVP
from deis.diffusion.gaussian_start import GaussianStart
from deis.diffusion.guidance import ClassifierFree, Labelled
from deis.diffusion.inversion import Interpolation, Reconstruction, decode, encode, interpolate, reconstruct, slerp
from deis.diffusion.langevin import CriticallyDampedLangevin
from deis.diffusion.likelihood import Likelihood, log_likelihood
from deis.diffusion.mixture import GaussianMixture
from deis.diffusion.network_time import NetworkTime
from deis.diffusion.noise import SampleNoise
from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.predictions import PREDICTIONS, convert
from deis.diffusion.sampling import sample
from deis.diffusion.schedules import EDM, SCHEDULES, VE, NoiseSchedule, RectifiedFlow, SubVP, VPCosine, VPLinear

__all__ = [
    "EDM",
    "PREDICTIONS",
    "SCHEDULES",
    "VE",
    "BrownianNoise",
    "ClassifierFree",
    "CriticallyDampedLangevin",
    "DiscreteVP",
    "GaussianMixture",
    "GaussianStart",
    "Interpolation",
    "Labelled",
    "Likelihood",
    "NetworkTime",
    "NoiseSchedule",
    "ProbabilityFlowODE",
    "Reconstruction",
    "RectifiedFlow",
    "SampleNoise",
    "SubVP",
    "VPCosine",
    "VPLinear",
    "convert",
    "decode",
    "encode",
    "interpolate",
    "log_likelihood",
    "reconstruct",
    "sample",
    "second_moments",
    "slerp",
]
