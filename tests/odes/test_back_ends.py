"""Each way to represent a constant linear part is tested against the others, on one L after another."""

import attrs
import pytest
import torch

from deis import BlockDiagonalODE, DenseODE, DiagonalODE, KrylovODE, PolynomialEIAB, solve

SIZE, BATCH = 6, 3
TIMES = torch.tensor([0.0, 0.1, 0.25, 0.45, 0.7, 1.0], dtype=torch.float64)
INTEGRATORS = {
    "krogstad": "krogstad",
    "hochbruck-ostermann": "hochbruck-ostermann",
    "exp-adams3": PolynomialEIAB(steps=3, start="runge-kutta"),
    "corrector": PolynomialEIAB(steps=2, corrector=True, start="runge-kutta"),
}


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def basis(seed, dtype=torch.float64):
    """A well-conditioned basis that is not orthogonal."""
    return torch.eye(SIZE, dtype=dtype) + 0.2 * normal(SIZE, SIZE, seed=seed, dtype=dtype)


@attrs.frozen
class Case:
    """L = V diag(eigenvalues) V^-1, or a matrix without such a basis."""

    vectors: torch.Tensor | None = None
    eigenvalues: torch.Tensor | None = None
    defective: torch.Tensor | None = None
    symmetric: bool = False

    @property
    def matrix(self):
        if self.defective is not None:
            return self.defective
        vectors = self.vectors
        return vectors @ (self.eigenvalues.to(vectors.dtype)[:, None] * torch.linalg.inv(vectors))


def jordan():
    block = -2 * torch.eye(SIZE, dtype=torch.float64) + torch.diag(torch.ones(SIZE - 1, dtype=torch.float64), 1)
    v = basis(7)
    return v @ block @ torch.linalg.inv(v)


orthogonal = torch.linalg.qr(normal(SIZE, SIZE, seed=1))[0]
unitary = torch.linalg.qr(normal(SIZE, SIZE, seed=2, dtype=torch.complex128))[0]
real = -torch.logspace(-1, 2, SIZE, dtype=torch.float64)
CASES = {
    "real": Case(basis(3), real),
    "real, growing": Case(basis(4), torch.linspace(-5.0, 2.0, SIZE, dtype=torch.float64)),
    "symmetric": Case(orthogonal, real, symmetric=True),
    "hermitian": Case(unitary, real, symmetric=True),
    "imaginary": Case(unitary, 1j * torch.linspace(-20.0, 30.0, SIZE, dtype=torch.float64)),
    "complex": Case(basis(5, torch.complex128), real + 1j * torch.linspace(-9.0, 9.0, SIZE, dtype=torch.float64)),
    "defective": Case(defective=jordan()),
    "zero": Case(basis(6), torch.zeros(SIZE, dtype=torch.float64)),
    "zero, symmetric": Case(orthogonal, torch.zeros(SIZE, dtype=torch.float64), symmetric=True),
}


def nonlinearity(t, x):
    return 0.5 * torch.sin(x) + t


@attrs.frozen(eq=False)
class BackEnd:
    """An ODE, and how its states come from vectors and become vectors again."""

    ode: object
    inward: object = staticmethod(lambda x: x)
    outward: object = staticmethod(lambda x: x)


def back_ends(case):
    matrix = case.matrix
    ends = {
        "dense": BackEnd(DenseODE(matrix, nonlinearity)),
        "block-diagonal": BackEnd(BlockDiagonalODE(matrix.expand(BATCH, SIZE, SIZE), nonlinearity)),
        "krylov": BackEnd(KrylovODE(lambda x: x @ matrix.mT, nonlinearity, symmetric=case.symmetric, tolerance=1e-13)),
    }
    if case.vectors is not None:
        v, back = case.vectors, torch.linalg.inv(case.vectors)

        def transformed(t, y):
            return nonlinearity(t, y @ v.mT) @ back.mT

        ode = DiagonalODE(case.eigenvalues.to(case.vectors.dtype), transformed)
        ends["diagonal"] = BackEnd(ode, lambda x: x @ back.mT, lambda y: y @ v.mT)
    return ends


def state(case, seed=11):
    return normal(BATCH, SIZE, seed=seed, dtype=case.matrix.dtype)


def close(one, other, tolerance=1e-11):
    return float((one - other).abs().max()) <= tolerance * max(1.0, float(other.abs().max()))


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


def test_transitions_agree(case):
    x, ends = state(case), back_ends(case)
    s, t = torch.tensor([0.0, 0.3], dtype=torch.float64), torch.tensor([0.4, 1.3], dtype=torch.float64)
    found = {
        name: [end.outward(end.ode.apply(c, end.inward(x))) for c in end.ode.transition(t, s)]
        for name, end in ends.items()
    }
    for n, h in enumerate((t - s).tolist()):
        exact = x @ torch.linalg.matrix_exp(h * case.matrix).mT
        for values in found.values():
            assert close(values[n], exact)


def test_weights_agree(case):
    x, ends = state(case), back_ends(case)
    s, t = torch.tensor([0.3, 0.5], dtype=torch.float64), torch.tensor([0.7, 0.6], dtype=torch.float64)
    nodes = torch.stack([s, s - 0.1, s - 0.3, t], dim=1)
    found = {name: end.ode.weights(s, t, nodes) for name, end in ends.items()}
    for n in range(2):
        for j in range(4):
            values = [end.outward(end.ode.apply(found[name][n, j], end.inward(x))) for name, end in ends.items()]
            assert all(close(value, values[0]) for value in values[1:])


@pytest.mark.parametrize("integrator", list(INTEGRATORS))
def test_plans_agree(case, integrator):
    x = state(case)
    found = [
        end.outward(solve(end.ode, end.inward(x), TIMES, INTEGRATORS[integrator]).x) for end in back_ends(case).values()
    ]
    assert all(close(value, found[0], 1e-10) for value in found[1:])


@pytest.mark.parametrize("integrator", ["krogstad", "corrector"])
@pytest.mark.parametrize("name", ["diagonal", "dense", "krylov"])
def test_batches_are_single_solves(name, integrator):
    case = CASES["real"]
    x, end = state(case), back_ends(case)[name]
    together = solve(end.ode, end.inward(x), TIMES, INTEGRATORS[integrator]).x
    for n in range(BATCH):
        alone = solve(end.ode, end.inward(x[n]), TIMES, INTEGRATORS[integrator]).x
        assert close(together[n], alone, 1e-11)


@pytest.mark.parametrize("integrator", list(INTEGRATORS))
def test_blocks_are_systems_of_their_own(integrator):
    matrices = torch.stack([CASES[name].matrix for name in ("real", "symmetric", "defective")])
    x = state(CASES["real"])
    together = solve(BlockDiagonalODE(matrices, nonlinearity), x, TIMES, INTEGRATORS[integrator]).x
    for n, matrix in enumerate(matrices):
        alone = solve(DenseODE(matrix, nonlinearity), x[n], TIMES, INTEGRATORS[integrator]).x
        assert close(together[n], alone, 1e-12)


@pytest.mark.parametrize("integrator", ["krogstad", "exp-adams3"])
def test_stiff_parts_agree(integrator):
    """|h L| of 1e4: the Krylov spaces of Lanczos against sines, in which second differences are diagonal."""
    size, rate = 40, 1e5
    modes = torch.arange(1, size + 1, dtype=torch.float64)
    sines = (modes[:, None] * modes * (torch.pi / (size + 1))).sin() * (2 / (size + 1)) ** 0.5
    eigenvalues = -rate * (modes * (torch.pi / 2 / (size + 1))).sin() ** 2

    def differences(x):
        padded = torch.nn.functional.pad(x, (1, 1))
        return rate / 4 * (padded[..., :-2] - 2 * x + padded[..., 2:])

    x = normal(2, size, seed=1)
    krylov = KrylovODE(differences, nonlinearity, symmetric=True)
    diagonal = DiagonalODE(eigenvalues, lambda t, y: nonlinearity(t, y @ sines) @ sines)
    times = torch.linspace(0.0, 0.3, 4, dtype=torch.float64)
    expected = solve(diagonal, x @ sines, times, INTEGRATORS[integrator]).x @ sines
    assert close(solve(krylov, x, times, INTEGRATORS[integrator]).x, expected, 1e-9)
