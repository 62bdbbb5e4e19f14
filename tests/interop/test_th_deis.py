"""deis.interop.th_deis against the original's formulas, written out again here in numpy."""

import itertools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import attrs
import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from deis import (
    ArgumentError,
    GaussianMixture,
    NetworkError,
    NonFiniteError,
    ProbabilityFlowODE,
    UnknownNameError,
    VPCosine,
    VPLinear,
    make_grid,
    make_plan,
)
from deis.interop.th_deis import VPSDE, DiscreteVPSDE, get_cos_alpha_fns, get_linear_alpha_fns, get_sampler
from deis.testing import NoiseScheduleConformance

BETAS = np.linspace(1e-4, 0.02, 1000)
TABLE = np.cumprod(1 - BETAS)
STAGES = {"1euler": 1, "2heun": 2, "3kutta": 3, "3ral": 3, "3heun": 3, "3vdh": 3, "3ssprk": 3, "4rk": 4}
ADAMS = [[1.0], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]]
RK = {  # c, rows of a, b
    "1euler": ([0], [[]], [1]),
    "2heun": ([0, 1], [[], [1]], [1 / 2, 1 / 2]),
    "3kutta": ([0, 1 / 2, 1], [[], [1 / 2], [-1, 2]], [1 / 6, 4 / 6, 1 / 6]),
    "3ral": ([0, 1 / 2, 3 / 4], [[], [1 / 2], [0, 3 / 4]], [2 / 9, 1 / 3, 4 / 9]),
    "3heun": ([0, 1 / 3, 2 / 3], [[], [1 / 3], [0, 2 / 3]], [1 / 4, 0, 3 / 4]),
    "3vdh": ([0, 8 / 15, 2 / 3], [[], [8 / 15], [1 / 4, 5 / 12]], [1 / 4, 0, 3 / 4]),
    "3ssprk": ([0, 1, 1 / 2], [[], [1], [1 / 4, 1 / 4]], [1 / 6, 1 / 6, 2 / 3]),
    "4rk": ([0, 1 / 2, 1 / 2, 1], [[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
}

Array = np.ndarray


@attrs.frozen
class Sde:
    """alpha and its logarithmic derivative, on arrays; ``make`` builds the SDE of the package."""

    alpha: Callable[[Array], Array]
    log_slope: Callable[[Array], Array]
    time: Callable[[Array], Array]
    start: float
    end: float
    make: Callable[[], VPSDE]
    discrete: bool = False

    def rho(self, t: Array) -> Array:
        a = self.alpha(t)
        return np.sqrt((1 - a) / a)


def table_alpha(t: Array) -> Array:
    return np.interp(t, np.arange(1000), TABLE).astype(np.asarray(t).dtype)


def table_slope(t: Array) -> Array:
    k = np.minimum(np.floor(t).astype(int), 998)
    return ((TABLE[k + 1] - TABLE[k]) / table_alpha(t)).astype(np.asarray(t).dtype)


SDES = {
    "linear": Sde(
        lambda t: np.exp(-(t**2) * (20 - 0.01) / 2 - 0.01 * t),
        lambda t: -t * (20 - 0.01) - 0.01,
        lambda a: (-0.01 + np.sqrt(0.01**2 - 2 * (20 - 0.01) * np.log(a))) / (20 - 0.01),
        1.0,
        1e-3,
        lambda: VPSDE(*get_linear_alpha_fns(0.01, 20), 1e-3, 1.0),
    ),
    "cosine": Sde(
        lambda t: np.cos((t + 0.008) / 1.008 * (np.pi / 2)) ** 2,
        lambda t: -2 * np.tan((t + 0.008) / 1.008 * (np.pi / 2)) * (np.pi / 2 / 1.008),
        lambda a: np.arccos(np.sqrt(a)) * (2 / np.pi) * 1.008 - 0.008,
        0.99,
        1e-3,
        lambda: VPSDE(*get_cos_alpha_fns(), 1e-3, 0.99),
    ),
    "discrete": Sde(
        table_alpha,
        table_slope,
        lambda a: np.interp(-a, -TABLE, np.arange(1000.0)),
        999.0,
        0.0,
        lambda: DiscreteVPSDE(torch.from_numpy(TABLE)),
        discrete=True,
    ),
}


def grid(sde: Sde, phase: str, order: float, n: int) -> tuple[Array, bool]:
    """The original's times, and whether they were moved to whole numbers."""
    i = np.arange(n + 1) / n

    def power(first: float, last: float, k: float) -> Array:
        return (first ** (1 / k) + i * (last ** (1 / k) - first ** (1 / k))) ** k

    ends = np.array([sde.start, sde.end])
    rho = sde.rho(ends)
    if phase == "t":
        times = power(*ends, order)
    elif phase == "rho":
        times = sde.time(1 / (1 + power(*rho, order) ** 2))
    else:
        times = sde.time(1 / (1 + np.exp(power(*np.log(rho), 1)) ** 2))
    times[[0, -1]] = ends
    if sde.discrete:
        whole = sorted({int(t + 1e-9) for t in times})
        if len(whole) < n + 1:
            candidates = [k for k in range(999, 0, -1) if k not in whole]
            return np.array(sorted(whole + candidates[-(n + 1 - len(whole)) :], reverse=True), dtype=float), True
    return times, False


def adams(
    sde: Sde, clock: str, times: Array, degree: int, kind: type, where: float = 0.0
) -> tuple[list[float], list[list[float]]]:
    """Rows of t_ab and rho_ab: a left Riemann sum of 10 000 points in the precision ``kind``; newest value first.

    For rho_ab the rows are those of v = x / sqrt(alpha). With ``where`` = 1/2 it is the midpoint rule, of order 2.
    """
    nodes = (times if clock == "t" else sde.rho(times.astype(kind))).astype(kind)
    states, weights = [], []
    for i in range(len(nodes) - 1):
        span = (nodes[i + 1] - nodes[i]) / kind(10_000)
        tau = nodes[i] + span * (np.arange(10_000) + where).astype(kind)
        kernel = np.ones_like(tau)
        state = kind(1)
        if clock == "t":
            alpha, end = sde.alpha(tau), sde.alpha(nodes[i + 1])
            kernel = np.sqrt(end / alpha) * kind(-0.5) * sde.log_slope(tau) / np.sqrt(kind(1) - alpha)
            state = np.sqrt(end / sde.alpha(nodes[i]))
        known = [nodes[i - j] for j in range(min(i, degree) + 1)]
        row = []
        for j, node in enumerate(known):
            basis = np.ones_like(tau)
            for m, other in enumerate(known):
                if m != j:
                    basis = basis * (tau - other) / (node - other)
            row.append(float(span * np.sum(kernel * basis)))
        states.append(float(state))
        weights.append(row)
    return states, weights


def reference(
    sde: Sde, eps: Callable[[Array, float], Array], x: Array, times: Array, method: str, option: object, kind: type
) -> Array:
    """Sampling as the original does it, step by step."""
    level, rho = np.sqrt(sde.alpha(times)), sde.rho(times)
    if method == "rho_rk":
        c, a, b = RK[str(option)]
        v = x / level[0]
        for i in range(len(times) - 1):
            h, slopes = rho[i + 1] - rho[i], []
            for ci, row in zip(c, a, strict=True):
                at = sde.time(1 / (1 + (rho[i] + ci * h) ** 2))
                inner = v + h * sum((w * k for w, k in zip(row, slopes, strict=True)), 0 * v)
                slopes.append(eps(inner * np.sqrt(sde.alpha(at)), float(at)))
            v = v + h * sum(w * k for w, k in zip(b, slopes, strict=True))
        return v * level[-1]
    if method == "ipndm":
        sigma = np.sqrt(1 - level**2)
        states = list(level[1:] / level[:-1])
        frozen = sigma[1:] - level[1:] / level[:-1] * sigma[:-1]
        weights = [[f * w for w in ADAMS[min(i, 3)]] for i, f in enumerate(frozen)]
    else:
        states, weights = adams(sde, method.removesuffix("_ab"), times, int(str(option)), kind)
    scale = level if method == "rho_ab" else np.ones_like(level)
    v, history = x / scale[0], []
    for i, (state, row) in enumerate(zip(states, weights, strict=True)):
        history = [eps(v * scale[i], float(times[i])), *history][:6]
        v = state * v + sum(w * e for w, e in zip(row, history, strict=False))
    return v * scale[-1]


def measured(sde: VPSDE, n: int, **options: object) -> tuple[list[float], list[list[float]], list[torch.Tensor]]:
    """Rows of a multistep sampler and its times, seen from outside: value j of eps is the unit vector e_j."""
    states: list[torch.Tensor] = []
    times: list[torch.Tensor] = []

    def eps(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        states.append(x)
        times.append(t)
        return torch.eye(n + 1, dtype=x.dtype)[len(times) - 1]

    states.append(get_sampler(sde, eps, num_step=n, **options)(torch.eye(n + 1, dtype=torch.float64)[n]))
    factors = [float(after[n] / before[n]) for before, after in itertools.pairwise(states)]
    rows = [after - f * before for f, (before, after) in zip(factors, itertools.pairwise(states), strict=True)]
    return factors, [row[: i + 1].flip(0).tolist() for i, row in enumerate(rows)], times


class TestCoefficients:
    @pytest.mark.parametrize(
        ("kind", "where", "error"), [(np.float64, 0.0, 1e-3), (np.float32, 0.0, 1e-3), (np.float64, 0.5, 2e-6)]
    )
    @pytest.mark.parametrize("degree", [0, 1, 2, 3])
    @pytest.mark.parametrize("method", ["t_ab", "rho_ab"])
    @pytest.mark.parametrize("name", SDES)
    def test_are_the_riemann_sums_of_the_original(
        self, name: str, method: str, degree: int, kind: type, where: float, error: float
    ) -> None:
        sde = SDES[name]
        times, _ = grid(sde, "t", 2, 10)
        states, weights = adams(sde, method.removesuffix("_ab"), times, degree, kind, where)
        error = max(error, 5e-5) if sde.discrete else error  # the integrand jumps at every whole time
        options = {"ts_phase": "t", "ts_order": 2, "method": method, "ab_order": degree}
        factors, rows, _ = measured(sde.make(), 10, **options)
        level = np.sqrt(sde.alpha(times))
        for i, (factor, row) in enumerate(zip(factors, rows, strict=True)):
            state, weight = states[i], weights[i]
            if method == "rho_ab":
                state, weight = level[i + 1] / level[i], [level[i + 1] * w for w in weight]
            assert factor == pytest.approx(state, rel=error)
            assert np.abs(np.array(row[: len(weight)]) - weight).max() < error * np.abs(weight).max()
            assert np.abs(row[len(weight) :]).max(initial=0.0) < 1e-12 * np.abs(weight).max()  # ramp: min(i, r) + 1

    def test_are_exact(self) -> None:
        factors, rows, _ = measured(SDES["linear"].make(), 10, ts_phase="t", ts_order=2, method="t_ab")
        assert factors[:2] == pytest.approx([5.329382, 3.365361], rel=1e-6)
        assert rows[0] == pytest.approx([-4.32991], abs=1e-5)
        assert rows[1] == pytest.approx([-3.18724, 0.81674], abs=1e-5)
        assert rows[3] == pytest.approx([-1.53153, 1.21840, -0.63012, 0.12802], abs=1e-5)

    @pytest.mark.parametrize("name", SDES)
    def test_of_degree_0_are_those_of_ddim(self, name: str) -> None:
        sde = SDES[name]
        times, _ = grid(sde, "t", 2, 10)
        level = np.sqrt(sde.alpha(times))
        sigma = np.sqrt(1 - sde.alpha(times))
        expected = sigma[1:] - level[1:] / level[:-1] * sigma[:-1]
        _, rows, _ = measured(sde.make(), 10, ts_phase="t", ts_order=2, method="t_ab", ab_order=0)
        assert [row[0] for row in rows] == pytest.approx(list(expected), rel=1e-9)

    @pytest.mark.parametrize("name", SDES)
    def test_of_ipndm(self, name: str) -> None:
        sde = SDES[name]
        times, _ = grid(sde, "t", 1, 10)
        level, sigma = np.sqrt(sde.alpha(times)), np.sqrt(1 - sde.alpha(times))
        factors, rows, _ = measured(sde.make(), 10, ts_phase="ignored", ts_order=0, method="ipndm")
        for i, row in enumerate(rows):
            frozen = sigma[i + 1] - level[i + 1] / level[i] * sigma[i]
            assert factors[i] == pytest.approx(level[i + 1] / level[i], rel=1e-9)
            assert row[:4] == pytest.approx([frozen * w for w in ADAMS[min(i, 3)]], rel=1e-9)


class TestGrid:
    @pytest.mark.parametrize(("phase", "order"), [("t", 1), ("t", 2), ("t", 3), ("rho", 1), ("rho", 7), ("log", 0)])
    @pytest.mark.parametrize("n", [10, 50])
    @pytest.mark.parametrize("name", SDES)
    def test_is_that_of_the_original(self, name: str, n: int, phase: str, order: float) -> None:
        sde = SDES[name]
        expected, whole = grid(sde, phase, order, n)
        _, _, times = measured(sde.make(), n, ts_phase=phase, ts_order=order, method="t_ab", ab_order=0)
        assert [float(t) for t in times] == pytest.approx(list(expected[:-1]), rel=1e-6)
        assert {t.dtype for t in times} == {torch.int32 if whole else torch.float32}
        assert all(t.shape == () for t in times)

    @pytest.mark.parametrize(
        ("order", "n", "dtype"), [(2, 10, torch.float32), (3, 10, torch.int32), (2, 50, torch.int32)]
    )
    def test_of_discrete_times_is_whole_where_times_collide(self, order: int, n: int, dtype: torch.dtype) -> None:
        _, _, times = measured(SDES["discrete"].make(), n, ts_phase="t", ts_order=order, method="t_ab", ab_order=0)
        assert {t.dtype for t in times} == {dtype}
        assert times[0] == 999
        assert all(a > b for a, b in itertools.pairwise(times))

    def test_whole_times_do_not_fall_by_rounding(self) -> None:
        table = np.cumprod(1 - np.linspace(1e-4, 0.02, 1001))
        _, _, times = measured(DiscreteVPSDE(table), 20, ts_phase="t", ts_order=3, method="t_ab", ab_order=0)
        assert [int(t) for t in times][:10:2] == [1000, 729, 512, 343, 216]

    @pytest.mark.parametrize("method", ["rho_ab", "rho_rk"])
    def test_of_rho_methods_stays_float(self, method: str) -> None:
        seen = []

        def eps(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            seen.append(t.dtype)
            return x

        get_sampler(SDES["discrete"].make(), eps, "t", 3, 10, method)(torch.ones(2))
        assert set(seen) == {torch.float32}

    def test_takes_every_time_of_a_short_table(self) -> None:
        _, _, times = measured(DiscreteVPSDE(TABLE[::100]), 9, ts_phase="t", ts_order=2, method="t_ab", ab_order=1)
        assert [int(t) for t in times] == [9, 8, 7, 6, 5, 4, 3, 2, 1]
        with pytest.raises(ArgumentError, match=r"num_step must be at most 9, .* got 10"):
            get_sampler(DiscreteVPSDE(TABLE[::100]), torch.add, "t", 2, 10)

    @pytest.mark.parametrize("phase", ["rho", "log"])
    def test_may_end_in_rho_at_the_first_discrete_time(self, phase: str) -> None:
        assert get_sampler(DiscreteVPSDE(TABLE), lambda x, t: x, phase, 7, 12, "rho_ab")(torch.ones(2)).isfinite().all()


MEANS = torch.from_numpy(load_digits().data / 8 - 1)
METHODS = [("t_ab", 0), ("t_ab", 1), ("t_ab", 3), ("rho_ab", 1), ("rho_ab", 3), ("ipndm", 0)]
METHODS += [("rho_rk", name) for name in RK]


@pytest.fixture(scope="module")
def noise() -> torch.Tensor:
    return torch.randn(24, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def exact_eps(sde: VPSDE) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    network = GaussianMixture(MEANS, 0.1).network(sde)
    return lambda x, t: network(x, torch.ones(len(x)).to(x) * t)


def median_difference(a: torch.Tensor, b: Array) -> float:
    return float((a - torch.from_numpy(b)).pow(2).mean(1).sqrt().median())


class TestSamples:
    @pytest.mark.parametrize(("method", "option"), METHODS)
    @pytest.mark.parametrize(
        ("name", "phase", "order"), [("linear", "t", 2), ("cosine", "log", 0), ("discrete", "t", 3)]
    )
    def test_are_those_of_the_original(
        self, name: str, phase: str, order: float, method: str, option: object, noise: torch.Tensor
    ) -> None:
        sde = SDES[name]
        ours = sde.make()
        eps = exact_eps(ours)
        chosen = {"rk_method": option} if method == "rho_rk" else {"ab_order": option}
        x = get_sampler(ours, eps, phase, order, 10, method, **chosen)(noise)
        times = grid(sde, "t", 1, 10)[0] if method == "ipndm" else grid(sde, phase, order, 10)[0]

        def in_numpy(state: Array, t: float) -> Array:
            return eps(torch.from_numpy(state), torch.tensor(t)).numpy()

        for kind in (np.float64, np.float32) if method in ("t_ab", "rho_ab") else (np.float64,):
            expected = reference(sde, in_numpy, noise.numpy(), times, method, option, kind)
            assert median_difference(x, expected) < 1e-3
        assert x.abs().max() < 3

    def test_approach_the_data(self, noise: torch.Tensor) -> None:
        sde = SDES["linear"].make()
        x = get_sampler(sde, exact_eps(sde), "t", 2, 30, "t_ab")(noise)
        assert float(torch.cdist(x, MEANS).min(1).values.median()) < 1.2 * 0.1 * math.sqrt(64)


class TestSampler:
    @pytest.mark.parametrize(("method", "option"), METHODS)
    @pytest.mark.parametrize("name", SDES)
    def test_number_of_calls(self, name: str, method: str, option: object) -> None:
        times = []

        def eps(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            times.append(float(t))
            return torch.zeros_like(x)

        chosen = {"rk_method": option} if method == "rho_rk" else {"ab_order": option}
        get_sampler(SDES[name].make(), eps, "t", 2, 7, method, **chosen)(torch.ones(1))
        assert len(times) == 7 * (STAGES[str(option)] if method == "rho_rk" else 1)
        assert times[0] == pytest.approx(SDES[name].start)

    @pytest.mark.parametrize("shape", [(), (1,), (0, 3), (5,), (2, 3, 4), (2, 3, 4, 4), (1, 2, 1, 2, 1, 2)])
    @pytest.mark.parametrize("method", ["t_ab", "rho_ab", "rho_rk", "ipndm"])
    def test_takes_any_shape(self, method: str, shape: tuple[int, ...]) -> None:
        sampler = get_sampler(SDES["linear"].make(), lambda x, t: x * t, "t", 2, 5, method)
        assert sampler(torch.ones(shape)).shape == shape

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize("method", ["t_ab", "rho_ab", "rho_rk", "ipndm"])
    def test_keeps_the_dtype_and_the_noise(self, method: str, dtype: torch.dtype) -> None:
        sde = SDES["linear"].make()
        seen = set()

        def eps(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            seen.add((x.dtype, t.dtype))
            return x * sde.sigma(t.double()).to(x)

        start = torch.ones(3, 2, dtype=dtype)
        x = get_sampler(sde, eps, "t", 2, 20, method)(start)
        assert x.dtype == dtype
        assert seen == {(dtype, torch.float32)}
        assert (start == 1).all()
        assert (x - 1).abs().max() < 0.05  # standard normal data stay where they are

    def test_takes_predictions_in_the_precision_of_autocast(self) -> None:
        sampler = get_sampler(SDES["linear"].make(), lambda x, t: x.bfloat16(), "t", 2, 5, "t_ab")
        assert sampler(torch.ones(2)).dtype == torch.float32

    @pytest.mark.parametrize("method", ["t_ab", "rho_ab", "rho_rk", "ipndm"])
    def test_keeps_nothing_between_calls(self, method: str) -> None:
        sampler = get_sampler(SDES["linear"].make(), lambda x, t: x.tanh() * t, "t", 2, 6, method)
        first = sampler(torch.ones(4))
        sampler(torch.full((4,), torch.finfo().max / 1e6))
        assert torch.equal(sampler(torch.ones(4)), first)

    def test_lets_gradients_flow_where_they_are_enabled(self) -> None:
        sampler = get_sampler(SDES["linear"].make(), lambda x, t: x.tanh() * t, "t", 2, 6)
        start = torch.ones(4, requires_grad=True)
        sampler(start).sum().backward()
        assert start.grad is not None
        assert (start.grad != 0).all()
        with torch.no_grad():
            assert not sampler(start).requires_grad

    @pytest.mark.parametrize("name", SDES)
    @pytest.mark.parametrize("method", ["t_ab", "rho_rk"])
    def test_may_be_made_and_run_in_inference_mode(self, name: str, method: str) -> None:
        def run() -> torch.Tensor:
            return get_sampler(SDES[name].make(), lambda x, t: x.tanh(), "t", 2, 6, method)(torch.ones(4))

        expected = run()
        with torch.inference_mode():
            assert torch.equal(run(), expected)

    @pytest.mark.parametrize("method", ["t_ab", "rho_ab", "rho_rk", "ipndm"])
    def test_may_end_at_time_0(self, method: str) -> None:
        functions = get_linear_alpha_fns(0.1, 20)

        def run(end: float) -> torch.Tensor:
            return get_sampler(VPSDE(*functions, end, 1.0), lambda x, t: x.tanh(), "t", 2, 10, method)(torch.ones(3))

        assert run(0.0).tolist() == pytest.approx(run(1e-12).tolist(), rel=1e-4)

    def test_names_what_does_not_fit(self) -> None:
        sde = SDES["linear"].make()
        with pytest.raises(NetworkError, match=r"must return torch.float32 of shape \(2,\)"):
            get_sampler(sde, lambda x, t: x[:1], "t", 2, 5)(torch.ones(2))
        with pytest.raises(NetworkError, match="NoneType"):
            get_sampler(sde, lambda x, t: None, "t", 2, 5)(torch.ones(2))
        with pytest.raises(NonFiniteError, match="NaN at evaluation 1"):
            get_sampler(sde, lambda x, t: x * math.nan, "t", 2, 5)(torch.ones(2))
        with pytest.raises(ArgumentError, match="x0 must be a floating point"):
            get_sampler(sde, lambda x, t: x, "t", 2, 5)(torch.ones(2, dtype=torch.int64))


class TestArguments:
    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"method": "tab"}, "no method named 'tab'; near it: t_ab"),
            ({"method": None}, "no method named 'none'"),
            ({"rk_method": "3kuta"}, "no rk_method named '3kuta'; near it: 3kutta"),
            ({"rk_method": "3Kutta"}, "near it: 3kutta"),
            ({"ts_phase": "rh"}, "no ts_phase named 'rh'; near it: rho"),
            ({"ts_phase": "T"}, "no ts_phase named 'T'; known: log, rho, t"),
        ],
    )
    def test_unknown_names_show_near_misses(self, changed: dict[str, object], message: str) -> None:
        options = {"ts_phase": "t", "ts_order": 2, "num_step": 5} | changed
        with pytest.raises(UnknownNameError) as error:
            get_sampler(SDES["linear"].make(), lambda x, t: x, **options)
        assert message in str(error.value)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"sde": VPLinear()}, "sde must be a VPSDE or a DiscreteVPSDE"),
            ({"eps_fn": 3}, "eps_fn must be callable"),
            ({"num_step": 0}, "num_step must be a whole number of at least 1, got 0"),
            ({"num_step": 2.5}, "num_step must be a whole number"),
            ({"ts_order": 0}, "ts_order must be a number above 0"),
            ({"ts_order": 0, "ts_phase": "rho"}, "ts_order must be a number above 0"),
            ({"method": "t_ab", "ab_order": 6}, "ab_order must be a whole number from 0 to 5, got 6"),
            ({"method": "rho_ab", "ab_order": -1}, "ab_order must be a whole number from 0 to 5, got -1"),
        ],
    )
    def test_others_are_named(self, changed: dict[str, object], message: str) -> None:
        options = {"sde": SDES["linear"].make(), "eps_fn": torch.add, "ts_phase": "t", "ts_order": 2, "num_step": 5}
        with pytest.raises(ArgumentError, match=message):
            get_sampler(**options | changed)

    def test_method_may_be_in_capitals_and_all_may_be_positional(self) -> None:
        sampler = get_sampler(SDES["linear"].make(), lambda x, t: x, "rho", 7.0, 5, "T_AB", 2, "4rk")
        assert sampler(torch.ones(2)).shape == (2,)

    def test_time_0_has_no_logarithm(self) -> None:
        with pytest.raises(ArgumentError, match="sampling_eps must leave some noise for ts_phase='log', got 0"):
            get_sampler(VPSDE(*get_linear_alpha_fns(0.1, 20), 0.0, 1.0), torch.add, "log", 1, 5)

    def test_coefficients_that_do_not_exist_are_refused(self) -> None:
        def t2alpha(t: torch.Tensor) -> torch.Tensor:  # flat at 0: rho has no slope there in float64
            return (t * (math.pi / 2)).cos() ** 2

        sde = VPSDE(t2alpha, lambda a: a.sqrt().acos() * (2 / math.pi), 0.0, 0.99)
        assert get_sampler(sde, lambda x, t: x, "t", 2, 5, "t_ab")(torch.ones(2)).isfinite().all()
        with pytest.raises(ArgumentError, match="finite coefficients"):
            get_sampler(sde, torch.add, "t", 2, 5, "rho_rk", rk_method="2heun")


def branching(t: float) -> float:
    return math.exp(-3 * t) if t < 0.5 else math.exp(-1.5) * math.exp(-3 * (t - 0.5))


WRITTEN = {
    "torch": (lambda t: torch.exp(-3 * t), lambda a: -torch.log(a) / 3),
    "numpy": (lambda t: np.exp(-3 * t), lambda a: -np.log(a) / 3),
    "math": (lambda t: math.exp(-3 * t), lambda a: -math.log(a) / 3),
    "operators": (lambda t: 2.718281828459045 ** (-3 * t), lambda a: -np.log(a) / 3),
    "branching": (branching, lambda a: -np.log(a) / 3),
    "numpy table": (
        lambda t: np.exp(np.interp(t, [0, 1], [0, -3])),
        lambda a: np.interp(-np.log(a), [0, 3], [0, 1]),
    ),
    "without gradient": (lambda t: torch.exp(-3 * t.detach()), lambda a: -torch.log(a) / 3),
}


class TestAlphaFunctions:
    @pytest.mark.parametrize("method", ["t_ab", "rho_ab", "rho_rk", "ipndm"])
    @pytest.mark.parametrize("how", WRITTEN)
    def test_may_be_written_in_any_library(self, how: str, method: str) -> None:
        def run(key: str) -> torch.Tensor:
            sde = VPSDE(*WRITTEN[key], 1e-3, 1.0)
            return get_sampler(sde, lambda x, t: x.tanh() * t, "rho", 3, 8, method)(torch.ones(3, dtype=torch.float64))

        torch.testing.assert_close(run(how), run("torch"), rtol=1e-7, atol=0.0)

    @pytest.mark.parametrize(
        ("forward", "backward", "start", "end", "message"),
        [
            (lambda t: "alpha", lambda a: a, 1e-3, 1.0, "t2alpha_fn must be an elementwise function"),
            (3, lambda a: a, 1e-3, 1.0, "t2alpha_fn must be an elementwise function"),
            (lambda t: 1 - t / 2, None, 1e-3, 1.0, "alpha2t_fn must be an elementwise function"),
            (lambda t: 1 + t, lambda a: a - 1, 1e-3, 1.0, "t2alpha_fn must fall strictly"),
            (lambda t: 1 - t, lambda a: 1 - a, 1e-3, 1.0, "stay above 0"),
            (lambda t: t * math.nan, lambda a: a, 1e-3, 1.0, "t2alpha_fn must fall strictly"),
            (lambda t: 1 - t / 2, lambda a: 1 - a, 1e-3, 1.0, "alpha2t_fn must be the inverse"),
            (lambda t: 1 - t / 2, lambda a: 2 - 2 * a, 1.0, 1.0, "sampling_T must be above sampling_eps = 1"),
        ],
    )
    def test_that_do_not_fit_are_refused(
        self, forward: object, backward: object, start: float, end: float, message: str
    ) -> None:
        with pytest.raises(ArgumentError, match=message):
            VPSDE(forward, backward, start, end)

    @pytest.mark.parametrize("pair", [get_linear_alpha_fns(0.01, 20), get_linear_alpha_fns(2, 2), get_cos_alpha_fns()])
    def test_are_inverse_to_each_other(self, pair: tuple[Callable, Callable]) -> None:
        t = torch.linspace(1e-3, 0.99, 50, dtype=torch.float64)
        forward, backward = pair
        torch.testing.assert_close(backward(forward(t)), t, rtol=1e-8, atol=0.0)
        assert float(backward(float(forward(0.5)))) == pytest.approx(0.5)
        assert forward(t.numpy()).tolist() == forward(t).tolist()

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    @pytest.mark.parametrize(("how", "error"), [("torch", 1e-12), ("math", 1e-8)])
    def test_have_a_slope_wherever_the_sde_was_made(
        self, how: str, error: float, mode: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with mode():
            sde = VPSDE(*WRITTEN[how], 1e-3, 1.0)
        t = torch.linspace(1e-3, 1, 5, dtype=torch.float64)
        assert sde.drift(t).tolist()[1:-1] == pytest.approx([-1.5] * 3, rel=error)
        assert sde.drift(t).tolist() == pytest.approx([-1.5] * 5, rel=1e-4)

    def test_linear_is_the_square_of_our_alpha(self) -> None:
        t = torch.linspace(0, 1, 9, dtype=torch.float64)
        forward, _ = get_linear_alpha_fns(0.1, 20)
        torch.testing.assert_close(forward(t), VPLinear(0.1, 20.0).alpha(t) ** 2)

    def test_cosine_is_not_normalised(self) -> None:
        forward, backward = get_cos_alpha_fns()
        assert float(forward(0.0)) == pytest.approx(0.99984455, abs=1e-7)
        assert float(backward(1.0)) == pytest.approx(-0.008)
        half = torch.tensor(0.5, dtype=torch.float64)
        assert float(forward(half) / forward(0.0)) == pytest.approx(float(VPCosine().alpha(half) ** 2))


class TestDiscreteVPSDE:
    def test_is_linear_in_alpha_between_whole_times(self) -> None:
        sde = DiscreteVPSDE(TABLE)
        t = torch.tensor([0.0, 0.25, 499.5, 998.9, 999.0], dtype=torch.float64)
        torch.testing.assert_close(sde.t2alpha_fn(t), torch.from_numpy(table_alpha(t.numpy())))
        torch.testing.assert_close(sde.alpha2t_fn(sde.t2alpha_fn(t)), t, rtol=1e-9, atol=1e-9)
        assert (sde.sampling_eps, sde.sampling_T) == (0.0, 999.0)

    @pytest.mark.parametrize("table", [TABLE, TABLE.tolist(), torch.from_numpy(TABLE), torch.from_numpy(TABLE).float()])
    def test_takes_tensors_arrays_and_lists(self, table: object) -> None:
        assert float(DiscreteVPSDE(table).t2alpha_fn(500)) == pytest.approx(TABLE[500], rel=1e-6)

    @pytest.mark.parametrize("method", ["t_ab", "rho_ab", "rho_rk", "ipndm"])
    def test_cuts_alpha_off_near_0_and_1(self, method: str) -> None:
        sde = DiscreteVPSDE([1.0, 0.9, 0.5, 0.1, 0.0])
        ends = torch.tensor([0.0, 4.0], dtype=torch.float64)
        assert sde.t2alpha_fn(ends).tolist() == pytest.approx([1 - 1e-7, 1e-7], rel=1e-9)
        x = get_sampler(sde, lambda x, t: x * sde.sigma(t.double()).to(x), "t", 1, 4, method)(torch.ones(3))
        assert x.isfinite().all()

    @pytest.mark.parametrize(
        "table", [[0.5], [[0.9, 0.5]], [0.5, 0.5], [0.5, 0.9], [1.1, 0.5], [0.5, -0.1], [0.5, math.nan]]
    )
    def test_refuses_other_tables(self, table: object) -> None:
        with pytest.raises(ArgumentError, match="discrete_alpha must be one row of numbers"):
            DiscreteVPSDE(table)


class TestVPSDEAsSchedule(NoiseScheduleConformance):
    @pytest.fixture(params=["linear", "cosine", "discrete"])
    def schedule(self, request: pytest.FixtureRequest) -> VPSDE:
        return SDES[request.param].make()


class TestPlans:
    """A ready plan in the place of a method."""

    SDE = VPSDE(*get_linear_alpha_fns(0.1, 20.0), sampling_eps=1e-3, sampling_T=1.0)

    def sampler(self, plan, num_step=6, sde=SDE):
        return get_sampler(sde, lambda x, t: x.tanh(), "t", 2, num_step, method=plan)

    def plan(self, schedule, name="tab2"):
        ode = ProbabilityFlowODE(schedule, lambda x, t: x)
        return make_plan(ode, make_grid("t2")(ode, 6), name)

    def test_it_samples_as_the_method_that_it_is_of(self):
        noise = torch.linspace(-1, 1, 8, dtype=torch.float64)
        named = get_sampler(self.SDE, lambda x, t: x.tanh(), "t", 2, 6, method="t_ab", ab_order=2)(noise)
        for schedule in (self.SDE, VPLinear()):  # one that is the same up to rounding
            torch.testing.assert_close(self.sampler(self.plan(schedule))(noise), named, rtol=1e-9, atol=1e-12)

    def test_what_does_not_fit_it_is_refused_at_once(self):
        plan = self.plan(self.SDE)
        with pytest.raises(ArgumentError, match="num_step must be 6, the steps of the plan, got 5"):
            self.sampler(plan, num_step=5)
        with pytest.raises(ArgumentError, match="must be a plan made for this linear part"):
            self.sampler(self.plan(VPLinear(beta_1=15.0)))
        with pytest.raises(ArgumentError, match=r"must be a plan from 1 to 0\.001"):
            self.sampler(self.plan(VPLinear(t_min=0.01)))
        with pytest.raises(ArgumentError, match="method must be a plan without noise"):
            self.sampler(self.plan(self.SDE, "sddim"))
