import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deis import (
    EDM,
    GaussianMixture,
    ProbabilityFlowODE,
    SampleNoise,
    VPLinear,
    decode,
    encode,
    interpolate,
    make_grid,
    reconstruct,
    sample,
    slerp,
)
from deis.errors import ArgumentError, NonFiniteError

MEANS = torch.tensor([[0.5, -1.0], [2.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
MIXTURE = GaussianMixture(MEANS, 0.3)
ODE = MIXTURE.ode(VPLinear())


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def data(count=6, seed=0):
    return MEANS[torch.arange(count) % 3] + 0.3 * random(count, 2, seed=seed)


def levels(schedule, t):
    when = torch.tensor(t, dtype=torch.float64)
    return float(schedule.alpha(when)), float(schedule.sigma(when))


@pytest.mark.parametrize("schedule", [VPLinear(), EDM()], ids=repr)
def test_gaussian_data_are_encoded_and_decoded_by_the_closed_form(schedule):
    mean, std = MEANS[:1], 0.5
    ode = GaussianMixture(mean, std).ode(schedule)
    (a0, s0), (a1, s1) = (levels(schedule, t) for t in (schedule.t_min, schedule.t_max))
    x = data()
    latents = a1 * mean + math.hypot(a1 * std, s1) / math.hypot(a0 * std, s0) * (x - a0 * mean)
    options = {"nfe": 96, "integrator": "polynomial:start=runge-kutta", "grid": "vp-t2"}
    torch.testing.assert_close(encode(ode, x, **options).x, latents, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(decode(ode, latents, **options).x, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("integrator", "low", "high"),
    [
        ("ddim", 0.85, 1.15),
        ("tab3", 1.85, 2.15),  # the ramp caps the order at 2
        ("rhork-kutta3", 2.85, 3.15),
        # a method of even order gains one: to leading order the way back undoes the error of the way there
        ("tab3:start=runge-kutta", 4.0, 5.5),
        ("rhork-rk4", 4.7, 5.3),
    ],
)
@pytest.mark.parametrize("means", [MEANS, MEANS[:1]], ids=["mixture", "gaussian"])
def test_the_cycle_error_falls_with_the_order_of_the_method(means, integrator, low, high):
    ode = GaussianMixture(means, 0.3).ode(VPLinear(t_min=0.05))
    x = means[torch.arange(6) % len(means)] + 0.3 * random(6, 2)
    errors = []
    for nfe in (96, 192, 384):
        cycle = reconstruct(ode, x, nfe=nfe, integrator=integrator, grid="vp-t2")
        assert cycle.nfe == 2 * nfe
        errors.append(float(cycle.error.square().mean().sqrt()))
    assert low <= math.log2(errors[0] / errors[-1]) / 2 <= high


def test_the_cycle_error_is_the_rmse_of_each_sample():
    x = data()
    cycle = reconstruct(ODE, x, nfe=8)
    expected = [math.dist(a, b) / math.sqrt(2) for a, b in zip(cycle.x.tolist(), x.tolist(), strict=True)]
    assert cycle.error.tolist() == pytest.approx(expected, rel=1e-9)
    assert cycle.error.dtype == torch.float64
    assert torch.equal(cycle.latents, encode(ODE, x, nfe=8).x)


def test_decoding_the_noise_of_seeds_is_sampling():
    sigma = levels(VPLinear(), 1.0)[1]
    noise = SampleNoise([4, 2]).initial((2,), torch.float64) * sigma
    drawn = sample(ODE, (2,), [4, 2], nfe=9, dtype=torch.float64)
    assert torch.equal(decode(ODE, noise, nfe=9).x, drawn.x)


def test_encoding_runs_through_the_grid_backwards():
    family = make_grid("t2")
    expected = encode(ODE, data(), nfe=6, grid="t2")
    assert expected.times == tuple(family(ODE, 6))[::-1]
    assert torch.equal(encode(ODE, data(), grid=family(ODE, 6)).x, expected.x)
    assert decode(ODE, data(), nfe=6).times == tuple(make_grid("default")(ODE, 6))
    with pytest.raises(ArgumentError, match="grid must run from noise to data"):
        encode(ODE, data(), grid=family(ODE, 6).reversed())


def test_states_on_the_way_are_kept_on_request():
    solution = encode(ODE, data(), nfe=5, keep_states=True)
    assert len(solution.states) == len(solution.times) == 6
    assert torch.equal(solution.states[0], data())
    assert encode(ODE, data(), nfe=5).states is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_shape_are_kept_without_gradients(dtype):
    x = data().to(dtype).requires_grad_()
    for run in (encode, decode):
        solution = run(ODE, x, nfe=4)
        assert (solution.x.dtype, solution.x.shape) == (dtype, (6, 2))
        assert not solution.x.requires_grad
    assert interpolate(ODE, x, x.flip(0), 3, nfe=4).x.dtype == dtype


def test_methods_that_choose_their_steps_invert():
    cycle = reconstruct(ODE, data(), integrator="dopri5:rtol=1e-8:atol=1e-8")
    assert float(cycle.error.max()) < 1e-5


@pytest.mark.parametrize("run", [encode, decode, reconstruct, lambda ode, x, **o: interpolate(ode, x, x, 3, **o)])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"integrator": "sddim"}, "integrator must be deterministic: .*StochasticDDIM.*for example tab3"),
        ({"nfe": 0}, "nfe must be a whole number"),
        ({"nfe": 10, "integrator": "rhork-kutta3"}, "ask for 9 or 12"),
        ({"x": torch.ones(2, 2, dtype=torch.int64)}, "must be a floating point tensor of shape"),
        ({"x": [[1.0, 2.0]]}, "must be a floating point tensor of shape"),
        ({"x": torch.tensor(1.0)}, "must be a floating point tensor of shape"),
        ({"ode": torch.tanh}, "ode must be a ProbabilityFlowODE"),
    ],
)
def test_wrong_arguments_are_refused(run, options, message):
    rest = dict(options)
    with pytest.raises(ArgumentError, match=message):
        run(rest.pop("ode", ODE), rest.pop("x", data()), **rest)


def test_data_that_are_not_finite_are_refused():
    with pytest.raises(NonFiniteError, match="x0 holds NaN or Inf"):
        encode(ODE, torch.full((1, 2), math.nan, dtype=torch.float64))


def test_the_ends_of_an_interpolation_are_reconstructions():
    a, b = data(), data(seed=1)
    path = interpolate(ODE, a, b, 5, nfe=12)
    assert path.x.shape == path.latents.shape == (5, 6, 2)
    assert path.nfe == 24
    for end, x in ((0, a), (-1, b)):
        cycle = reconstruct(ODE, x, nfe=12)
        torch.testing.assert_close(path.x[end], cycle.x, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(path.latents[end], cycle.latents, rtol=1e-12, atol=1e-12)


def test_an_interpolation_decodes_the_great_circle():
    a, b = data(), data(seed=1)
    path = interpolate(ODE, a, b, 3, nfe=12)
    middle = slerp(encode(ODE, a, nfe=12).x, encode(ODE, b, nfe=12).x, [0.5])[0]
    torch.testing.assert_close(path.x[1], decode(ODE, middle, nfe=12).x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("count", [1, 0, -3, 2.5, True, "3"])
def test_a_path_has_two_ends(count):
    with pytest.raises(ArgumentError, match="count must be a whole number of at least 2"):
        interpolate(ODE, data(), data(), count)


@pytest.mark.parametrize("b", [data(3), data().float(), None])
def test_ends_that_do_not_fit_are_refused(b):
    with pytest.raises(ArgumentError, match=r"b must be torch.float64 of shape \(6, 2\), as a is, got"):
        interpolate(ODE, data(), b)
    with pytest.raises(ArgumentError, match="b must be"):
        slerp(data(), b, [0.5])


def angle(a, b):
    return math.acos(max(-1.0, min(1.0, float((a * b).sum() / (a.norm() * b.norm())))))


@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(0.0, 1.0), st.floats(0.1, 10.0))
def test_slerp_turns_evenly_and_changes_the_norm_linearly(seed, size, share, scale):
    a, b = random(1, size, seed=seed), scale * random(1, size, seed=seed + 1)
    (point,) = slerp(a, b, [share])
    assert float(point.norm()) == pytest.approx((1 - share) * float(a.norm()) + share * float(b.norm()), rel=1e-6)
    assert angle(a, point) == pytest.approx(share * angle(a, b), abs=1e-5)
    assert angle(point, b) == pytest.approx((1 - share) * angle(a, b), abs=1e-5)


def test_slerp_keeps_the_norm_of_equal_norms():
    a, b = (random(4, 3, 8, seed=seed) for seed in (0, 1))
    a, b = (7 * x / x.flatten(1).norm(dim=1)[:, None, None] for x in (a, b))
    path = slerp(a, b, torch.linspace(0, 1, 11))
    assert path.shape == (11, 4, 3, 8)
    torch.testing.assert_close(path.flatten(2).norm(dim=2), torch.full((11, 4), 7.0, dtype=torch.float64))


def test_slerp_has_the_given_ends_exactly():
    a, b = random(3, 5), random(3, 5, seed=1)
    path = slerp(a, b, [0, 1])
    assert torch.equal(path[0], a)
    assert torch.equal(path[1], b)


def test_slerp_between_parallel_ends_is_a_straight_line():
    a = random(2, 5)
    torch.testing.assert_close(slerp(a, 3 * a, [0.25])[0], 1.5 * a)
    torch.testing.assert_close(slerp(a, a, [0.3])[0], a)
    near = a * (1 + 1e-9 * random(2, 5, seed=3))
    torch.testing.assert_close(slerp(a, near, [0.5])[0], (a + near) / 2, rtol=1e-12, atol=1e-12)


def test_slerp_is_computed_in_float64_and_given_back_in_the_dtype_of_its_ends():
    a, b = random(2, 5).half(), random(2, 5, seed=1).half()
    path = slerp(a, b, [0.4])
    assert path.dtype == torch.float16
    torch.testing.assert_close(path, slerp(a.double(), b.double(), [0.4]).half())


@pytest.mark.parametrize("b", [-torch.ones(1, 3), torch.tensor([[-2.0, -2.0, -2.0]])])
def test_opposite_ends_have_no_one_great_circle(b):
    with pytest.raises(ArgumentError, match="b must not point opposite to a"):
        slerp(torch.ones(1, 3), b, [0.5])


@pytest.mark.parametrize("swap", [False, True])
def test_zero_has_no_direction(swap):
    ends = [torch.zeros(1, 3), torch.ones(1, 3)]
    with pytest.raises(ArgumentError, match="a and b must have a direction"):
        slerp(*(reversed(ends) if swap else ends), [0.5])


@pytest.mark.parametrize("fractions", [0.5, [], [math.nan], [[0.5]], ["a"], torch.tensor(0.5), None])
def test_fractions_are_a_row_of_numbers(fractions):
    with pytest.raises(ArgumentError, match="fractions must be a row of finite numbers"):
        slerp(torch.ones(1, 2), torch.eye(2)[:1], fractions)


def test_a_network_is_called_as_often_as_said():
    calls = []
    ode = ProbabilityFlowODE(VPLinear(), lambda x, t: (calls.append(len(x)), torch.tanh(x))[1])
    assert interpolate(ode, random(2, 3), random(2, 3, seed=1), 5, nfe=7).nfe == len(calls) == 14
    assert calls == [4] * 7 + [10] * 7


@pytest.mark.parametrize("use", [encode, decode, reconstruct])
def test_no_samples_are_refused(use):
    ode = GaussianMixture(torch.zeros(1, 2), std=1.0).ode(VPLinear())
    with pytest.raises(ArgumentError, match=r"must be a floating point tensor of shape \(B, \*shape\), not empty"):
        use(ode, torch.zeros(0, 2))
