import numpy as np
import pytest
import torch

from deis import Draw, SampleNoise
from deis.errors import ArgumentError


def test_a_sample_does_not_depend_on_its_batch_or_its_place():
    together = SampleNoise([3, 1, 4, 15])
    for place, seed in enumerate(together.seeds):
        alone = SampleNoise([seed])
        assert torch.equal(together.initial((2, 3))[place], alone.initial((2, 3))[0])
        x = torch.zeros(4, 2, 3)
        assert torch.equal(together(Draw(7), x)[place], alone(Draw(7), x[:1])[0])


def test_noise_is_the_same_every_time_and_in_any_order():
    noise, x = SampleNoise(range(3)), torch.zeros(3, 5)
    forwards = [noise(Draw(step), x) for step in range(4)]
    backwards = [noise(Draw(step), x) for step in reversed(range(4))]
    assert all(torch.equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))


def test_steps_seeds_and_the_start_differ():
    noise, x = SampleNoise([0, 1, 2]), torch.zeros(3, 64)
    draws = torch.cat([noise.initial((64,)), *(noise(Draw(step), x) for step in range(3))])
    correlation = torch.corrcoef(draws) - torch.eye(len(draws))
    assert float(correlation.abs().max()) < 0.5
    assert len({tuple(row.tolist()) for row in draws}) == 12


def test_the_global_generator_plays_no_part():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    SampleNoise([1]).initial((4,))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_precision_changes_nothing_but_rounding(dtype):
    noise = SampleNoise([8, 9])
    wide = noise(Draw(2), torch.zeros(2, 50, dtype=torch.float64))
    assert torch.equal(noise(Draw(2), torch.zeros(2, 50, dtype=dtype)), wide.to(dtype))
    assert torch.equal(noise.initial((50,), dtype), noise.initial((50,), torch.float64).to(dtype))


def test_noise_goes_to_the_device_of_the_state():
    assert SampleNoise([1])(Draw(0), torch.empty(1, 3, device="meta")).device.type == "meta"
    assert SampleNoise([1]).initial((3,), device="meta").device.type == "meta"


def test_moments_are_those_of_the_standard_normal():
    count = 400_000
    x = torch.cat(
        [SampleNoise(range(200))(Draw(step), torch.zeros(200, 1000, dtype=torch.float64)) for step in range(2)]
    )
    x = x.flatten()
    assert abs(float(x.mean())) < 5 / count**0.5
    assert abs(float(x.var()) - 1) < 5 * (2 / count) ** 0.5
    assert abs(float((x**3).mean())) < 5 * (15 / count) ** 0.5
    assert abs(float((x**4).mean()) - 3) < 5 * (96 / count) ** 0.5


def test_large_seeds_are_seeds():
    assert not torch.equal(SampleNoise([2**63 - 1]).initial((4,)), SampleNoise([2**62]).initial((4,)))


@pytest.mark.parametrize("seeds", [[], [-1], [2**63], [True], [1.0], ["1"], 7, None, "12"])
def test_bad_seeds_are_refused(seeds):
    with pytest.raises(ArgumentError, match="seeds must"):
        SampleNoise(seeds)


@pytest.mark.parametrize("seeds", [np.arange(3), torch.arange(3), [np.int64(0), torch.tensor(1), 2], iter(range(3))])
def test_seeds_may_come_from_numpy_and_torch(seeds):
    noise = SampleNoise(seeds)
    assert noise == SampleNoise([0, 1, 2])
    assert {type(seed) for seed in noise.seeds} == {int}


@pytest.mark.parametrize("seeds", [torch.tensor(3), torch.rand(3), np.array([0.5]), torch.tensor([True]), torch.eye(2)])
def test_tensors_that_hold_no_row_of_whole_numbers_are_refused(seeds):
    with pytest.raises(ArgumentError, match="seeds must"):
        SampleNoise(seeds)


def test_a_batch_of_another_size_is_refused():
    with pytest.raises(ArgumentError, match="x must hold 2 samples, one a seed"):
        SampleNoise([1, 2])(0, torch.zeros(3, 4))
    with pytest.raises(ArgumentError, match="x must hold"):
        SampleNoise([1, 2])(0, torch.zeros(()))


def test_it_is_a_value():
    assert SampleNoise([1, 2]) == SampleNoise(range(1, 3))
    assert hash(SampleNoise([1, 2])) == hash(SampleNoise((1, 2)))
