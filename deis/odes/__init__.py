"""Semilinear ODEs: the abstract class, and constant linear parts."""

from deis.odes.base import Clock, ConstantForm, SemilinearODE
from deis.odes.chebyshev import Chebyshev
from deis.odes.commuting import CommutingMatrixODE, CommutingODE
from deis.odes.constant import BlockDiagonalODE, DenseODE, DiagonalODE
from deis.odes.divergence import DivergenceODE, divergence
from deis.odes.krylov import KrylovODE
from deis.odes.spectral import Fourier, Fourier2
from deis.odes.trigonometric import Cosine, Sine

__all__ = [
    "BlockDiagonalODE",
    "Chebyshev",
    "Clock",
    "CommutingMatrixODE",
    "CommutingODE",
    "ConstantForm",
    "Cosine",
    "DenseODE",
    "DiagonalODE",
    "DivergenceODE",
    "Fourier",
    "Fourier2",
    "KrylovODE",
    "SemilinearODE",
    "Sine",
    "divergence",
]
