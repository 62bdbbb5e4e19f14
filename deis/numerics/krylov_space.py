"""Orthonormal bases of Krylov spaces, sample by sample, and phi functions of the small matrices in them."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deis.numerics.phi import phi_dense

Action = Callable[[Tensor], Tensor]

_ROUNDING = 10  # what is left of a vector in the space, in units of its rounding error


class Space:
    """The span of v, A v, A^2 v, ..., one for each sample, all of the same dimension.

    It is built by Arnoldi's method, or by Lanczos' for symmetric A, in which a new vector is made orthogonal to the two
    newest ones only. Where the space of a sample is closed under A (happy breakdown), its further vectors are 0 and its
    matrix is exact.

    Source: Saad, SIAM J. Numer. Anal. 29 (1992), section 2.

    :param action: A, on tensors of shape (n, d).
    :param start: v, shape (n, d).
    :param lanczos: whether A is symmetric (Hermitian).
    """

    def __init__(self, action: Action, start: Tensor, *, lanczos: bool) -> None:
        self._action, self.lanczos = action, lanczos
        self._norm = _length(start)
        self._basis = [_scaled(start, self._norm, self._norm > 0)]
        self._columns: list[Tensor] = []

    @property
    def dimension(self) -> int:
        """Number of vectors that A has been applied to."""
        return len(self._columns)

    def grow(self) -> None:
        """One more dimension, by one application of A."""
        vector = self._action(self._basis[-1])
        least = _ROUNDING * torch.finfo(vector.dtype).eps * _length(vector)
        near = torch.stack(self._basis[-2 if self.lanczos else 0 :], dim=1)
        column = torch.zeros((), dtype=vector.dtype, device=vector.device)
        for _ in range(2):  # the second time removes what rounding has left
            shares = (near.conj() @ vector[..., None]).squeeze(-1)
            vector = vector - (shares[:, None] @ near).squeeze(1)
            column = column + shares
        rest = _length(vector)
        alive = ~(rest <= least)  # so that NaN lives on and is found
        self._basis.append(_scaled(vector, rest, alive))
        self._columns.append(torch.cat([column, torch.where(alive, rest, 0.0)[:, None]], dim=1))

    @property
    def rounding(self) -> float:
        """Relative rounding error of the vectors."""
        return torch.finfo(self._basis[0].dtype).eps

    @property
    def symmetric(self) -> bool:
        """Whether the first two rows and columns of the matrix are symmetric (Hermitian), up to rounding."""
        few = min(self.dimension, 2)
        corner = self.matrix[:, :few, :few].detach()
        gap = (corner - corner.mH).abs().amax()
        return not bool(gap > math.sqrt(self.rounding) * corner.abs().amax())

    @property
    def matrix(self) -> Tensor:
        """A in the basis, float64 or complex128, shape (n, m + 1, m): the last row leads out of the space."""
        m, first = self.dimension, self._columns[0]
        wide = torch.promote_types(first.dtype, torch.float64)
        total = torch.zeros((len(first), m + 1, m), dtype=wide, device=first.device)
        for j, column in enumerate(self._columns):
            total[:, j + 2 - column.shape[1] : j + 2, j] = column.to(wide)
        return total

    def coordinates(self, k: int, s: float) -> tuple[Tensor, Tensor]:
        """Coordinates of phi_k(s A) v in the basis, and an estimate of the error.

        With H the matrix without its last row h e_m^T, the matrix [[H, 0, 0], [h e_m^T, 0, 0], [0, 1, 0]] has below
        phi_k(H) e_1 also h e_m^T phi_{k+1}(H) e_1 and h e_m^T phi_{k+2}(H) e_1, the first terms of the error of
        phi_k(H) e_1 (Saad, theorem 5.1; the first one alone may vanish where H has imaginary eigenvalues). The first is
        the coordinate of the next vector. phi_k of a matrix times a vector is a corner of the exponential of a larger
        matrix (Al-Mohy and Higham, SIAM J. Sci. Comput. 33 (2011), theorem 2.1).

        :returns: shapes (n, m + 1) and (n,).
        """
        m, inner = self.dimension, s * self.matrix
        block = inner.new_zeros((len(inner), m + 2 + k, m + 2 + k))
        block[:, : m + 1, :m] = inner
        block[:, m + 1, m] = 1.0
        if k:
            block[:, 0, m + 2] = 1.0
            chain = torch.arange(m + 2, m + 1 + k)
            block[:, chain, chain + 1] = 1.0
        norm = self._norm.to(torch.float64)[:, None]
        value = norm * phi_dense(0, block)[0][:, : m + 2, -1 if k else 0]
        return value[:, :-1], value[:, -2:].detach().abs().amax(1)

    def vectors(self, coordinates: Tensor) -> Tensor:
        """The vectors with these coordinates, shape (n, d)."""
        basis = torch.stack(self._basis, dim=1)
        return torch.einsum("nj, njd -> nd", coordinates.to(basis.dtype), basis)


def _length(x: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(x, dim=-1)
    return length


def _scaled(x: Tensor, norm: Tensor, alive: Tensor) -> Tensor:
    """x / norm, and 0 where it is not ``alive``."""
    return torch.where(alive[:, None], x, 0.0) / torch.where(alive, norm, 1.0)[:, None]


class Augmented:
    """The matrix [[A, W], [0, J]] of which exp(theta .) carries u' = A u + sum_{k >= 1} theta^{k-1} / (k-1)! w_k.

    The further components are z_k = m theta^{k-1} / (k-1)! with z_k' = z_{k-1}, and W z = sum_k w_k z_k / m. Here m is
    the norm of the largest w_k, so that they weigh as much as what they stand for (Al-Mohy and Higham, section 5).

    :param action: A, on tensors of shape (n, d).
    :param vectors: w_0 (the initial value), w_1, ..., each of shape (n, d), or None for 0.
    """

    def __init__(self, action: Action, vectors: Sequence[Tensor | None]) -> None:
        zero = torch.zeros_like(next(v for v in vectors if v is not None))
        self.initial, *sources = [zero if v is None else v for v in vectors]
        while sources and vectors[len(sources)] is None:
            sources.pop()
        self.sources = len(sources)
        stacked = torch.stack(sources, dim=1) if sources else zero[:, None][:, :0]
        largest = _length(stacked.detach()).amax(1) if sources else _length(zero)
        self._action, self._size = action, zero.shape[1]
        self._w, self._m = stacked / torch.where(largest > 0, largest, 1.0)[:, None, None], largest[:, None]

    def __call__(self, whole: Tensor) -> Tensor:
        x, z = whole[:, : self._size], whole[:, self._size :]
        top = self._action(x) + (z[:, None] @ self._w).squeeze(1)
        return torch.cat([top, torch.zeros_like(z[:, :1]), z[:, :-1]], dim=1)

    def start(self, x: Tensor, theta: float) -> Tensor:
        """(u, z) at ``theta``, where u is ``x``."""
        powers = [theta**k / math.factorial(k) for k in range(self.sources)]
        return torch.cat([x, self._m * torch.tensor(powers, dtype=x.dtype, device=x.device)], dim=1)

    def first(self, whole: Tensor) -> Tensor:
        """u of (u, z)."""
        return whole[:, : self._size]
