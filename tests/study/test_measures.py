import math

import pytest
import torch

from deis import CapabilityError
from deis.analysis import CoarseReferenceError, Reference, density_coverage, frechet_distance, precision_recall
from deis.study.measures import METRICS, Distance, digits, measure
from deis.zoo.weights import load_classifier, load_images


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact(x):
    return Reference((1.0, 0.0), torch.stack([x, x]), None, 0, "exact")


def threes(count, noise=0.0, seed=0):
    """Some of the 183 images of the digit three: few data make measuring fast."""
    images, labels = load_images()
    some = images[labels == 3]
    x = some[torch.randperm(len(some), generator=torch.Generator().manual_seed(seed))[:count]]
    return x + noise * normal(*x.shape, seed=seed + 1).float()


@pytest.fixture(scope="module")
def repeated():
    """200 draws of 60 samples whose RMSE to zero is log-normal, as measured by a name."""

    def of(name):
        draws = [(0.5 * normal(60, 1, seed=seed)).exp() / 10 for seed in range(200)]
        return [measure(name, x, reference=exact(torch.zeros(60, 1))) for x in draws]

    return of


@pytest.mark.parametrize(("name", "true"), [("error", 0.1), ("rmse", 0.1 * math.exp(0.25))])
def test_intervals_of_errors_hold_the_truth_in_about_95_of_100_repetitions(repeated, name, true):
    estimates = repeated(name)
    held = sum(one.low < true < one.high for one in estimates) / len(estimates)
    assert 0.85 < held < 0.99
    assert sum(one.value for one in estimates) / len(estimates) == pytest.approx(true, rel=0.03)


def test_the_error_is_the_geometric_mean_with_the_interval_of_its_logarithm():
    x = torch.tensor([[1.0], [10.0], [100.0]], dtype=torch.float64)
    found = measure("error", x, reference=exact(torch.zeros(3, 1)))
    assert found.value == pytest.approx(10)
    factor = math.exp(1.96 * math.log(10) / math.sqrt(3))
    assert (found.low, found.high) == pytest.approx((10 / factor, 10 * factor))


def test_no_error_at_all_is_no_fault():
    x = normal(5, 2)
    assert measure("error", x, reference=exact(x)).value == 0
    assert measure("rmse", x, reference=exact(x)).high == 0


def test_distances_are_those_of_the_classifiers_features():
    images, labels = load_images()
    x, features = threes(100, 0.1), load_classifier().features
    with torch.no_grad():
        data, drawn = features(images[labels == 3]), features(x)
        everything = features(images)
    assert measure("frechet", x).value == frechet_distance(drawn, everything)
    assert measure("frechet", x, label=3).value == frechet_distance(drawn, data)
    found = [measure(name, x, label=3).value for name in ("precision", "recall", "density", "coverage")]
    assert found == [*precision_recall(data, drawn), *density_coverage(data, drawn)]


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if isinstance(metric, Distance)])
def test_every_distance_tells_digits_from_noise(name):
    near, far = measure(name, threes(80), label=3), measure(name, normal(80, 1, 8, 8).float(), label=3)
    better = name in ("precision", "recall", "density", "coverage")
    assert (near.value > far.value) == better
    assert near.low <= near.value <= near.high
    assert near == measure(name, threes(80), label=3)


def test_the_interval_of_the_frechet_distance_has_the_size_of_its_spread():
    values = [measure("frechet", threes(120, 0.2, seed), label=3) for seed in range(12)]
    spread = 1.96 * torch.tensor([one.value for one in values]).std()
    width = torch.tensor([one.high - one.value for one in values]).mean()
    assert 0.7 * spread < width < 3 * spread


def test_the_bootstrap_keeps_the_share_of_each_class():
    images, labels = load_images()
    rows = torch.cat([(labels == one).nonzero().flatten()[:20] for one in range(10)])
    x, classes = images[rows], labels[rows].tolist()
    free, kept = measure("frechet", x), measure("frechet", x, classes=classes)
    assert kept.value == free.value
    assert kept.high - kept.value < 0.5 * (free.high - free.value)


def test_classes_of_few_samples_are_put_together():
    x = threes(40)
    alone = measure("sliced_wasserstein", x, label=3, classes=list(range(40)))
    assert alone == measure("sliced_wasserstein", x, label=3)


def test_a_discrepancy_may_be_negative():
    same = METRICS["mmd"].of(digits(3), digits(3).data)
    assert same < 0
    assert METRICS["mmd"].floor < same


def test_errors_below_the_uncertainty_of_the_reference_are_refused():
    x = normal(4, 3)
    rough = Reference((1.0, 0.0), torch.stack([x, x]), torch.stack([x, x + 1]), 10, "rough")
    with pytest.raises(CoarseReferenceError, match="less than 10 times"):
        measure("error", x + 0.5, reference=rough)


def test_what_cannot_be_measured_is_said():
    with pytest.raises(CapabilityError, match="error needs a reference"):
        measure("error", normal(4, 3))
    with pytest.raises(CapabilityError, match=r"shape \(3, 8\) are no digits"):
        measure("mmd", normal(4, 3, 8))
