import math

import pytest
import torch

from deis import EDM, ProbabilityFlowODE, sample
from deis.diffusion import ClassifierFree, Labelled
from deis.errors import ArgumentError, NetworkError


class Recording:
    """A network whose prediction is x t (1 + label)."""

    def __init__(self):
        self.calls = []

    def __call__(self, x, t, label):
        self.calls.append((x, t, label))
        shape = (-1, *[1] * (x.dim() - 1))
        return x * (t * (1 + label)).reshape(shape).to(x.dtype)


X = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
T = torch.full((3,), 0.5, dtype=torch.float64)
LABELS = torch.tensor([4, 0, 9])


@pytest.mark.parametrize(("labels", "told"), [(7, [7, 7, 7]), (LABELS, [4, 0, 9])])
def test_labels_are_filled_in(labels, told):
    network = Recording()
    value = Labelled(network, labels)(X, T)
    ((x, t, label),) = network.calls
    assert torch.equal(x, X)
    assert torch.equal(t, T)
    assert label.dtype == torch.int64
    assert label.tolist() == told
    torch.testing.assert_close(value, X * 0.5 * (1 + torch.tensor(told))[:, None, None])


@pytest.mark.parametrize("scale", [0.0, 0.5, 3.0, -1.0])
def test_guidance_extrapolates_from_unconditional_to_conditional_in_one_call(scale):
    network = Recording()
    value = ClassifierFree(network, LABELS, scale, null_label=10)(X, T)
    unconditional, conditional = Labelled(network, 10)(X, T), Labelled(network, LABELS)(X, T)
    torch.testing.assert_close(value, unconditional + scale * (conditional - unconditional))
    x, t, label = network.calls[0]
    assert len(network.calls) == 1 + 2
    assert (len(x), len(t)) == (6, 6)
    assert label.tolist() == [10, 10, 10, 4, 0, 9]


def test_scale_one_calls_the_conditional_network_on_the_batch_as_it_is():
    network = Recording()
    value = ClassifierFree(network, LABELS, 1.0, null_label=10)(X, T)
    assert [len(x) for x, _, _ in network.calls] == [3]
    assert torch.equal(value, Labelled(network, LABELS)(X, T))


def test_half_precision_stays_half_precision():
    guided = ClassifierFree(Recording(), 1, 2.5, null_label=0)
    assert guided(X.to(torch.bfloat16), T.float()).dtype == torch.bfloat16


@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_one_call_on_a_doubled_batch_counts_as_one(scale):
    network = Recording()
    ode = ProbabilityFlowODE(EDM(), ClassifierFree(network, torch.tensor([1, 2]), scale, null_label=0), predicts="x0")
    assert sample(ode, (2,), range(2), nfe=7).nfe == 7 == len(network.calls)


def test_guidance_is_the_same_for_every_kind_of_prediction():
    def eps(x, t, label):
        return (x * label[:, None] + t[:, None]).sin()

    ends = []
    for kind, network in (("eps", eps), ("x0", lambda x, t, label: x - t[:, None] * eps(x, t, label))):
        ode = ProbabilityFlowODE(EDM(), ClassifierFree(network, 1, 3.0, null_label=0), predicts=kind)
        ends.append(sample(ode, (2,), range(4), nfe=5, dtype=torch.float64).x)
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("make", [Labelled, lambda f, labels: ClassifierFree(f, labels, 2.0, null_label=0)])
class TestLabels:
    @pytest.mark.parametrize("labels", [1.5, True, "cat", None, [1, 2], torch.tensor([1.0]), torch.tensor([[1]])])
    def test_what_is_no_label_is_refused_at_once(self, make, labels):
        with pytest.raises(ArgumentError, match="labels must be"):
            make(Recording(), labels)

    def test_int32_labels_are_refused_with_the_fix(self, make):
        with pytest.raises(ArgumentError, match=r"got 'torch.int32 of shape \(2,\)'; pass a torch.int64 tensor"):
            make(Recording(), torch.tensor([1, 2], dtype=torch.int32))

    def test_another_number_of_labels_than_samples_is_refused(self, make):
        with pytest.raises(ArgumentError, match=r"labels must have shape \(3,\), one label a sample, got \(2,\)"):
            make(Recording(), torch.tensor([1, 2]))(X, T)

    def test_a_network_must_be_callable(self, make):
        with pytest.raises(ArgumentError, match="network must be callable"):
            make("network", 1)


@pytest.mark.parametrize("scale", [math.nan, math.inf, "2", None, True])
def test_scales_are_finite_numbers(scale):
    with pytest.raises(ArgumentError, match="scale must be a finite number"):
        ClassifierFree(Recording(), 1, scale, null_label=0)


@pytest.mark.parametrize("null", [1.0, None, False])
def test_the_null_label_is_a_whole_number(null):
    with pytest.raises(ArgumentError, match="null_label must be a whole number"):
        ClassifierFree(Recording(), 1, 2.0, null_label=null)


@pytest.mark.parametrize("answer", [lambda x, t, label: x[:3], lambda x, t, label: None])
def test_networks_that_do_not_answer_for_the_doubled_batch_are_refused(answer):
    with pytest.raises(NetworkError, match=r"must return shape \(6, 2, 2\) for the doubled batch"):
        ClassifierFree(answer, 1, 2.0, null_label=0)(X, T)
