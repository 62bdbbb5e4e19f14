import pytest

from deis import ArgumentError
from deis.tuning.training import Training


def test_the_rate_rises_over_a_tenth_and_then_falls_to_nothing():
    training = Training(iterations=100, rate=0.2)
    rates = [training.rate_of(k) for k in range(100)]
    assert rates[0] == pytest.approx(0.2 / 11)
    assert rates[50] == pytest.approx(0.1)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.19 < max(rates) < 0.2
    assert 0 < rates[-1] < 1e-4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("iterations", 0), ("batch", 0), ("rate", 0.0), ("decay", -1.0), ("every", 0), ("patience", 0)),
        *(("seed", -1), ("checkpoint", 1), ("weight", -0.5), ("iterations", True), ("rate", float("nan"))),
    ],
)
def test_numbers_out_of_range_are_refused(name, value):
    with pytest.raises(ArgumentError, match=f"{name} must be"):
        Training(**{name: value})


def test_features_are_a_function():
    with pytest.raises(ArgumentError, match="features must be callable"):
        Training(features="inception")
