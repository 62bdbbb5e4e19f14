import tomllib

from hypothesis import given
from hypothesis import strategies as st

from deis.study.toml_lines import lines

DOCUMENT = '''# [x]
title = "a # [not] \\" = 3" # c
"quoted.key" = 'lit # ]'
text = """
[[x]]
y = 2 """"
day = 1979-05-27 07:32:00
array = [ 1, # one
  [2, 3],
  {p = 1, "q.r" = [5]},
]
a.b."c d" = 1
[[m]]
x=1
[m.sub]
y=2
[[ m ]]
x=2
  [[m.deep]]
  [[m.deep]]
  z=[[1],[
2]]
[t."u.v"]
w={}
'''

PLACES = {
    ("title",): 2,
    ("quoted.key",): 3,
    ("text",): 4,
    ("day",): 7,
    ("array", 0): 8,
    ("array", 1, 1): 9,
    ("array", 2, "q.r", 0): 10,
    ("a", "b", "c d"): 12,
    ("m",): 13,
    ("m", 0): 13,
    ("m", 0, "sub", "y"): 16,
    ("m", 1): 17,
    ("m", 1, "x"): 18,
    ("m", 1, "deep", 0): 19,
    ("m", 1, "deep", 1): 20,
    ("m", 1, "deep", 1, "z", 1): 21,
    ("m", 1, "deep", 1, "z", 1, 0): 22,
    ("t", "u.v"): 23,
    ("t", "u.v", "w"): 24,
}


def leaves(value, place=()):
    """The places of all values that hold no others."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, one in items for leaf in leaves(one, (*place, key))]
    return found or [place]


def test_every_value_is_found_on_its_line():
    found = lines(DOCUMENT)
    assert {place: found[place] for place in PLACES} == PLACES
    assert set(leaves(tomllib.loads(DOCUMENT))) <= set(found)


def test_windows_line_ends_count_once():
    assert lines("a = 1\r\n\r\n[b]\r\nc = [\r\n2]\r\n")[("b", "c", 0)] == 5


def test_the_last_line_needs_no_end():
    assert lines("a = 1\nb = '''x\ny'''") == {("a",): 1, ("b",): 2}


def test_an_empty_document_has_no_places():
    assert lines("") == lines("# nothing\n") == {}


PLAIN = st.sampled_from(["1", "-2.5e3", "true", "'#]'", '"\\"]"', "1979-05-27 07:32:00", '"""a\nb"""'])
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3).map(", # c\n".join).map("[\n{}\n]".format))


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_keys_are_found_whatever_stands_between_them(values):
    text, expected = "", {}
    for number, value in enumerate(values):
        expected[(f"key{number}",)] = text.count("\n") + 1
        text += f"key{number} = {value}\n"
    tomllib.loads(text)
    found = lines(text)
    assert {place: found[place] for place in expected} == expected
    assert set(leaves(tomllib.loads(text))) <= set(found)
