"""Initial value problems with the arguments of scipy and torchdiffeq."""

from deis.ivp.linear import Linear, block_diagonal, dense, diagonal, matrix_free
from deis.ivp.odeint import odeint
from deis.ivp.solve_ivp import IVPSolution, solve_ivp

__all__ = ["IVPSolution", "Linear", "block_diagonal", "dense", "diagonal", "matrix_free", "odeint", "solve_ivp"]
