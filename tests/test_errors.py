import pickle

import pytest

from deis.errors import (
    ArgumentError,
    CapabilityError,
    DeisError,
    NetworkError,
    NonFiniteError,
    OutputError,
    UnknownNameError,
)


def test_an_argument_error_names_argument_rule_value_and_fix_in_this_order():
    error = ArgumentError("nfe", "must be at least 1", 0, "ask for more")
    assert str(error) == "nfe must be at least 1, got 0; ask for more"
    assert (error.argument, error.rule, error.value, error.fix) == ("nfe", "must be at least 1", 0, "ask for more")


def test_an_argument_error_without_a_fix_ends_after_the_value():
    assert str(ArgumentError("clock", "must be a name", "x")) == "clock must be a name, got 'x'"


def test_an_unknown_name_shows_near_misses_only():
    message = str(UnknownNameError("integrator", "tab", ["tab1", "ddim", "tab0"]))
    assert message == "no integrator named 'tab'; near it: tab0, tab1"


def test_an_unknown_name_without_near_misses_shows_all_known_names_sorted():
    assert str(UnknownNameError("grid", "zzz", ["t", "cosine"])) == "no grid named 'zzz'; known: cosine, t"


def test_where_nothing_is_known_none_is_shown():
    assert str(UnknownNameError("grid", "zzz", [])) == "no grid named 'zzz'; known: none"


@pytest.mark.parametrize("name", [5, None, ["t"], 2.5])
def test_an_unknown_name_may_be_of_any_type(name):
    assert repr(name) in str(UnknownNameError("grid", name, ["t"]))


def test_known_names_may_come_from_an_iterator():
    error = UnknownNameError("grid", "cosin", iter(["cosine", "t"]))
    assert error.known == ["cosine", "t"]
    assert "cosine" in str(error)


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (ArgumentError, ValueError),
        (UnknownNameError, LookupError),
        (CapabilityError, TypeError),
        (NonFiniteError, ArithmeticError),
        (NetworkError, TypeError),
        (OutputError, OSError),
    ],
)
def test_every_error_is_a_deis_error_and_a_builtin_one(kind, builtin):
    assert issubclass(kind, DeisError)
    assert issubclass(kind, builtin)


@pytest.mark.parametrize(
    "error",
    [
        ArgumentError("nfe", "must be at least 1", 0, "ask for more"),
        UnknownNameError("grid", "cosin", ["t", "cosine"]),
        CapabilityError("no clock"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_process_borders(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
