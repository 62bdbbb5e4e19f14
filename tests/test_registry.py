import attrs
import pytest

import deis
from deis.errors import ArgumentError, DeisError, UnknownNameError
from deis.fields import integer_in
from deis.registry import Registry

REGISTRIES = {
    "integrator": deis.INTEGRATORS,
    "grid": deis.GRIDS,
    "problem": deis.PROBLEMS,
    "schedule": deis.SCHEDULES,
}
ENTRIES = [(kind, name) for kind, table in REGISTRIES.items() for name in table]


@pytest.fixture
def shades():
    table = Registry("shade")

    @table.register("grey")
    @table.register("dark", level=1)
    @attrs.frozen
    class Grey:
        """A shade. It has a level."""

        level: int = attrs.field(default=5, validator=integer_in(0, 9))
        name: str | None = None
        ratio: float = 0.5
        glossy: bool = False
        derived: int = attrs.field(init=False, default=0)

    return table


def test_a_name_gives_the_class_with_its_defaults(shades):
    assert shades.create("grey").level == 5


def test_a_preset_is_a_default_that_options_override(shades):
    assert shades.create("dark").level == 1
    assert shades.create("dark:level=2").level == 2
    assert shades.create("dark", level=3).level == 3


def test_keyword_options_win_over_the_text(shades):
    assert shades.create("dark:level=2", level=3).level == 3


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("level=7", ("level", 7)),
        ("ratio=2.5", ("ratio", 2.5)),
        ("ratio=1e-3", ("ratio", 1e-3)),
        ("ratio=-1", ("ratio", -1)),
        ("glossy=true", ("glossy", True)),
        ("glossy=Off", ("glossy", False)),
        ("name=none", ("name", None)),
        ("name=vp-t", ("name", "vp-t")),
        ("name=a=b", ("name", "a=b")),
    ],
)
def test_option_text_is_read_as_number_flag_nothing_or_word(shades, text, value):
    read = getattr(shades.create(f"grey:{text}"), value[0])
    assert read == value[1]
    assert type(read) is type(value[1])


def test_several_options_are_read(shades):
    made = shades.create("grey:level=2:glossy=on:name=x")
    assert (made.level, made.glossy, made.name) == (2, True, "x")


def test_a_misspelt_name_shows_near_misses(shades):
    with pytest.raises(UnknownNameError, match="no shade named 'gray'; near it: grey"):
        shades.create("gray:level=2")


def test_a_misspelt_option_shows_near_misses(shades):
    with pytest.raises(UnknownNameError, match="no option of 'dark' named 'levl'; near it: level"):
        shades.create("dark:levl=2")


def test_a_field_that_the_class_sets_itself_is_no_option(shades):
    assert shades["grey"].options() == ("level", "name", "ratio", "glossy")
    with pytest.raises(UnknownNameError, match="derived"):
        shades.create("grey:derived=2")


@pytest.mark.parametrize("pair", ["", "level", "level=", "=3", "="])
def test_a_malformed_pair_is_named_with_an_example(shades, pair):
    with pytest.raises(ArgumentError) as caught:
        shades.create(f"grey:{pair}")
    assert str(caught.value) == f"option must read name=value, got {pair!r}; for example tab3:corrector=true"


def test_an_option_given_twice_is_refused(shades):
    with pytest.raises(ArgumentError, match="level"):
        shades.create("grey:level=2:level=3")


@pytest.mark.parametrize("text", [None, 5, ["grey"], b"grey"])
def test_what_is_not_text_is_refused_with_the_names(shades, text):
    with pytest.raises(ArgumentError, match=r"shade must be a name, got .*grey"):
        shades.create(text)


def test_a_name_is_registered_once(shades):
    with pytest.raises(ArgumentError, match="name must be new among the shades, got 'grey'"):
        shades.register("grey")
    assert len(shades) == 2


def test_a_registry_iterates_over_its_names_and_knows_them(shades):
    assert sorted(shades) == ["dark", "grey"]
    assert "grey" in shades
    assert "gray" not in shades
    assert shades["dark"].preset == {"level": 1}


def test_a_preset_cannot_be_changed(shades):
    with pytest.raises(TypeError):
        shades["dark"].preset["level"] = 2


def test_registering_gives_the_class_back_unchanged(shades):
    @attrs.frozen
    class Plain:
        """Nothing."""

    assert shades.register("plain")(Plain) is Plain
    assert shades["plain"].summary() == "Nothing."


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_every_registered_name_makes_a_value_and_says_what_it_is(kind, name):
    table = REGISTRIES[kind]
    assert isinstance(table.create(name), table[name].cls)
    assert table[name].summary().endswith(".")
    assert set(table[name].preset) <= set(table[name].options())


@pytest.mark.parametrize("kind", REGISTRIES)
def test_the_package_registries_name_their_kind(kind):
    with pytest.raises(UnknownNameError, match=f"^no {kind} named 'no-such-thing'"):
        REGISTRIES[kind].create("no-such-thing")


def test_an_integrator_takes_options_from_text():
    made = deis.INTEGRATORS.create("tab3:corrector=true")
    assert made == deis.PolynomialEIAB(clock="t", steps=4, corrector=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tab3:steps=7", "steps must be a whole number from 1 to 6, got 7"),
        ("tab3:steps=0", "steps must be a whole number from 1 to 6, got 0"),
        ("tab3:steps=2.5", "steps must be a whole number from 1 to 6, got 2.5"),
        ("tab3:steps=true", "steps must be a whole number from 1 to 6, got True"),
        ("tab3:corrector=3", "corrector must be True or False, got 3"),
        ("tab3:start=ramps", "no start named 'ramps'; near it: ramp"),
        ("tab3:corector=true", "no option of 'tab3' named 'corector'; near it: corrector"),
        ("tab", "no integrator named 'tab'; near it: tab0, tab1, tab2, tab3"),
        ("rhork-kutta3:tableau=kutta", "no tableau named 'kutta'; near it: kutta3"),
        ("sddim:eta=nan", "eta must be a number of at least 0, got nan"),
        ("sddim:eta=-1", "eta must be a number of at least 0, got -1"),
    ],
)
def test_wrong_options_of_integrators_are_explained(text, message):
    with pytest.raises(DeisError) as caught:
        deis.INTEGRATORS.create(text)
    assert str(caught.value) == message
