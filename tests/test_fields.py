import math

import attrs
import numpy as np
import pytest
import torch

from deis.errors import ArgumentError, UnknownNameError
from deis.fields import as_integer, boolean, integer_in, is_integer, is_number, number_in, one_of


def holder(validator):
    return attrs.make_class("Holder", {"option": attrs.field(validator=validator)}, frozen=True)


NOT_INTEGERS = [True, False, 1.0, 2.5, "1", None, math.nan, [1], 1j, torch.tensor(1)]
NOT_NUMBERS = [True, False, "1", None, math.nan, math.inf, -math.inf, [1.0], 1j, torch.tensor(1.0)]


@pytest.mark.parametrize("value", NOT_INTEGERS, ids=repr)
def test_only_whole_numbers_are_integers(value):
    assert is_integer(3)
    assert is_integer(-3)
    assert not is_integer(value)


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=repr)
def test_only_finite_reals_are_numbers(value):
    assert is_number(3)
    assert is_number(-0.5)
    assert not is_number(value)


def test_a_whole_number_too_large_for_a_float_is_refused():
    with pytest.raises(ArgumentError, match="option must be a number"):
        holder(number_in(0))(10**400)


@pytest.mark.parametrize("value", [1, 3, 6])
def test_integer_in_accepts_both_ends(value):
    assert holder(integer_in(1, 6))(value).option == value


@pytest.mark.parametrize("value", [0, 7, -1, *NOT_INTEGERS], ids=repr)
def test_integer_in_names_the_field_the_rule_and_the_value(value):
    with pytest.raises(ArgumentError) as caught:
        holder(integer_in(2, 6))(value)
    assert str(caught.value) == f"option must be a whole number from 2 to 6, got {value!r}"


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, 1.0])
def test_number_in_accepts_both_ends(value):
    assert holder(number_in(0, 1))(value).option == value


@pytest.mark.parametrize("value", [-1e-9, 1.0 + 1e-9, *NOT_NUMBERS], ids=repr)
def test_number_in_names_the_field_the_rule_and_the_value(value):
    with pytest.raises(ArgumentError) as caught:
        holder(number_in(0, 1))(value)
    assert str(caught.value) == f"option must be a number of at least 0 and at most 1, got {value!r}"


def test_number_in_with_an_open_low_end_refuses_that_end_only():
    positive = holder(number_in(0, open_low=True))
    assert positive(1e-300).option == 1e-300
    with pytest.raises(ArgumentError, match=r"^option must be a number above 0, got 0\.0$"):
        positive(0.0)


def test_number_in_with_an_open_high_end_refuses_that_end_only():
    share = holder(number_in(0, 1, open_high=True))
    assert share(1 - 1e-15).option < 1
    with pytest.raises(ArgumentError, match=r"^option must be a number of at least 0 and below 1, got 1\.0$"):
        share(1.0)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), torch.tensor(3), np.array(3)], ids=repr)
def test_whole_numbers_of_other_libraries_become_ints(value):
    assert type(as_integer(value)) is int
    assert as_integer(value) == 3


@pytest.mark.parametrize("value", [True, 2.5, "1", None, np.float64(3), torch.tensor(3.0), np.bool_(True)], ids=repr)
def test_what_is_no_whole_number_stays_as_it_is(value):
    assert as_integer(value) is value


def test_one_of_accepts_the_names_and_shows_near_misses():
    ramp = holder(one_of(["ramp", "runge-kutta"]))
    assert ramp("ramp").option == "ramp"
    with pytest.raises(UnknownNameError, match="no option named 'ramps'; near it: ramp"):
        ramp("ramps")


@pytest.mark.parametrize("value", [None, 5, ["ramp"], True])
def test_one_of_refuses_what_is_not_a_name(value):
    with pytest.raises(UnknownNameError, match="no option named"):
        holder(one_of(["ramp"]))(value)


def test_one_of_accepts_none_where_it_is_optional():
    assert holder(one_of(["ramp"], optional=True))(None).option is None


def test_one_of_may_be_given_an_iterator():
    known = holder(one_of(iter(["a", "b"])))
    assert [known(x).option for x in "abab"] == list("abab")


@pytest.mark.parametrize("value", [0, 1, 3, "true", None])
def test_boolean_accepts_true_and_false_only(value):
    flag = holder(boolean)
    assert flag(True).option is True
    assert flag(False).option is False
    with pytest.raises(ArgumentError, match="option must be True or False, got"):
        flag(value)
