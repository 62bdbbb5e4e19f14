import math

import pytest
import torch

from deis import ArgumentError
from deis.analysis import geometric_mean_rmse, per_sample_rmse, rmse

MEASURES = [rmse, per_sample_rmse, geometric_mean_rmse]


def test_rmse_averages_over_all_entries():
    x = torch.zeros(2, 3, 4)
    x[0, 0, 0] = 2.0
    assert rmse(x, torch.zeros_like(x)) == pytest.approx(2 / math.sqrt(24))


def test_rmse_of_float32_is_computed_in_float64():
    assert rmse(torch.full((4,), 1e-30), torch.zeros(4)) == pytest.approx(1e-30)


def test_per_sample_rmse_averages_within_each_sample():
    x = torch.tensor([[[1.0, 7.0]], [[3.0, 4.0]], [[0.0, 0.0]]])
    found = per_sample_rmse(x, torch.zeros_like(x))
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([5.0, math.sqrt(12.5), 0.0])


def test_a_sample_may_be_one_number():
    assert per_sample_rmse(torch.tensor([1.0, -3.0]), torch.zeros(2)).tolist() == [1.0, 3.0]


def test_complex_states_are_measured_by_their_modulus():
    assert per_sample_rmse(torch.tensor([[3 + 4j]]), torch.zeros(1, 1)).tolist() == [5.0]


def test_geometric_mean_is_over_samples_and_not_over_entries():
    x = torch.tensor([[1.0, 7.0], [0.02, 0.02]])
    assert geometric_mean_rmse(x, torch.zeros_like(x)) == pytest.approx(math.sqrt(5 * 0.02))


def test_a_sample_without_error_makes_the_geometric_mean_zero():
    assert geometric_mean_rmse(torch.tensor([[0.0], [1.0]]), torch.zeros(2, 1)) == 0.0


def test_errors_of_states_that_carry_gradients_are_plain_numbers():
    x = torch.ones(2, 1, requires_grad=True)
    assert rmse(x, torch.zeros(2, 1)) == geometric_mean_rmse(x, torch.zeros(2, 1)) == 1.0


def test_per_sample_rmse_can_be_trained_on():
    x = torch.tensor([[3.0, 4.0]], requires_grad=True)
    per_sample_rmse(x, torch.zeros(1, 2)).sum().backward()
    assert x.grad.tolist()[0] == pytest.approx([3 / math.sqrt(50), 4 / math.sqrt(50)])


@pytest.mark.parametrize("measure", MEASURES)
def test_shapes_that_would_broadcast_are_refused(measure):
    with pytest.raises(ArgumentError, match=r"reference's shape \(2, 1\), got \(2, 3\)"):
        measure(torch.zeros(2, 3), torch.zeros(2, 1))


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_no_tensor_is_refused(measure):
    with pytest.raises(ArgumentError, match="reference must be a tensor, got 'list'"):
        measure(torch.zeros(2), [0.0, 0.0])


@pytest.mark.parametrize("measure", MEASURES)
def test_no_samples_have_no_error(measure):
    with pytest.raises(ArgumentError, match=r"at least one number, got \(0, 3\)"):
        measure(torch.zeros(0, 3), torch.zeros(0, 3))


@pytest.mark.parametrize("measure", [per_sample_rmse, geometric_mean_rmse])
def test_errors_by_sample_need_samples(measure):
    with pytest.raises(ArgumentError, match="first axis of samples"):
        measure(torch.tensor(1.0), torch.tensor(0.0))
