import io

import attrs
import matplotlib.image
import numpy as np
import pytest
import torch
from PIL import Image

from deis import Bernoulli, HochbruckOstermann, Problem
from deis.study.portraits import Portrait, animation, png, portrait, solution_figure
from deis.study.solving import Frames

TIMES = np.linspace(0, 1, 7)


@attrs.frozen(eq=False)
class Shape(Problem):
    """Nothing but what its states look like."""

    axes: tuple = ()
    components: tuple = ()

    @property
    def ode(self):
        return Bernoulli().ode

    @property
    def initial(self):
        return Bernoulli().initial


def seen(values, **shape):
    """The portrait of values along as many times."""
    return portrait(Shape(**shape), Frames(tuple(range(len(values))), values, values), "a title")


def curves(fields, times=TIMES):
    """The only axes of a portrait of systems."""
    names = tuple(f"x{i}" for i in range(fields.shape[1]))
    return solution_figure(Portrait("a title", times, fields, names, ())).axes[0]


def planes(count=7, names=("u",)):
    """Fields that move from one plane to the next."""
    x, y = np.linspace(0, 1, 9), np.linspace(0, 2, 5)
    at = np.linspace(0, 1, count)[:, None, None, None]
    fields = np.sin(3 * x[:, None] + y + 6 * at) * np.ones((1, len(names), 1, 1))
    return Portrait("a title", np.linspace(0, 1, count), fields, names, (x, y))


def test_numbers_are_one_field():
    shown = seen(torch.arange(3.0))
    assert (shown.names, shown.fields.shape) == (("x",), (3, 1))


def test_systems_are_fields_with_the_names_of_their_components():
    assert seen(torch.zeros(3, 2), components=("prey", "predators")).names == ("prey", "predators")
    assert seen(torch.zeros(3, 2)).names == ("x1", "x2")


def test_components_of_space_are_fields():
    shown = seen(torch.zeros(3, 2, 4), axes=(torch.arange(4.0),), components=("u", "v"))
    assert (shown.names, shown.fields.shape) == (("u", "v"), (3, 2, 4))
    assert not shown.planes
    assert seen(torch.zeros(3, 4, 5), axes=(torch.arange(4.0), torch.arange(5.0))).planes


def test_complex_fields_are_modulus_and_real_part():
    shown = seen(torch.full((3, 4), 3 + 4j).conj(), axes=(torch.arange(4.0),))
    assert shown.names == ("|u|", "Re u")
    assert np.array_equal(shown.fields[0, :, 0], [5.0, 3.0])


def test_complex_numbers_are_real_and_imaginary_part():
    shown = seen(torch.full((3,), 3 - 4j))
    assert shown.names == ("Re x", "Im x")
    assert np.array_equal(shown.fields[0], [3.0, -4.0])


def test_curves_have_names_and_a_legend_where_there_are_several():
    axes = curves(np.stack([TIMES, -TIMES], 1))
    assert [line.get_label() for line in axes.get_lines()] == ["x0", "x1"]
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == ["x0", "x1"]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_xlabel()) == ("linear", "linear", "t")
    assert curves(TIMES[:, None]).figure.legends == []


def test_times_spread_over_decades_have_a_logarithmic_axis():
    axes = curves(np.ones((7, 1)), np.concatenate([[0], np.geomspace(1e-6, 1e3, 6)]))
    assert axes.get_xscale() == "log"
    assert axes.get_lines()[0].get_xdata()[0] == 1e-6  # 0 has no logarithm
    assert curves(np.ones((7, 1)), np.linspace(0, 1, 7) ** 3).get_xscale() == "linear"


def test_concentrations_of_very_different_size_have_a_logarithmic_axis():
    axes = curves(np.stack([1 - 0.5 * TIMES, 1e-5 * TIMES], 1))
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] > 1e-7
    drawn = axes.get_lines()[1].get_ydata()
    assert np.isnan(drawn[0])  # so that no line leads to it
    assert np.isfinite(drawn[1:]).all()


@pytest.mark.parametrize("small", [0.1, -1e-5, 0.0])
def test_other_values_have_a_linear_axis(small):
    assert curves(np.stack([1 - 0.5 * TIMES, small * TIMES], 1)).get_yscale() == "linear"


def test_fields_of_one_dimension_are_drawn_over_space_and_time_with_profiles():
    problem = HochbruckOstermann(20)
    values = torch.stack([problem.points * (1 - problem.points) * t for t in (1.0, 2.0, 3.0)])
    figure = solution_figure(portrait(problem, Frames((0.0, 0.5, 1.0), values, values), "a title"))
    image, profiles, bar = figure.axes
    assert (image.get_xlabel(), image.get_ylabel(), image.get_ylim()) == ("x", "t", (0.0, 1.0))
    assert np.allclose(image.collections[0].get_array(), values.numpy())
    assert [line.get_label() for line in profiles.get_lines()] == ["t = 0", "t = 0.5", "t = 1"]
    assert np.allclose(profiles.get_lines()[2].get_ydata(), values[2])
    assert bar.get_ylabel() == profiles.get_ylabel() == "u"
    assert figure.get_suptitle() == "a title"


def test_planes_are_a_row_of_snapshots_for_each_field():
    figure = solution_figure(planes(names=("u", "v")))
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 10
    assert [axes.get_title() for axes in panels[:5]] == ["t = 0", "t = 0.3333", "t = 0.5", "t = 0.6667", "t = 1"]
    assert np.allclose(panels[0].images[0].get_array(), planes().fields[0, 0].T)  # x to the right
    assert panels[0].images[0].get_extent() == pytest.approx((-1 / 16, 17 / 16, -0.25, 2.25))
    assert {axes.images[0].get_clim() for axes in panels[:5]} == {panels[0].images[0].get_clim()}


def test_colours_diverge_from_zero_where_a_field_has_both_signs():
    image = solution_figure(planes()).axes[0].images[0]
    low, high = image.get_clim()
    assert (low, image.get_cmap().name) == (-high, "RdBu_r")
    shown = planes()
    positive = solution_figure(attrs.evolve(shown, fields=shown.fields + 2)).axes[0].images[0]
    assert positive.get_cmap().name == "viridis"
    assert positive.get_clim() == ((shown.fields + 2).min(), (shown.fields + 2).max())


@pytest.mark.parametrize(("count", "shown"), [(7, 7), (20, 12)])
def test_an_animation_shows_many_of_the_planes_one_after_the_other(monkeypatch, count, shown):
    monkeypatch.setattr("deis.study.portraits._ANIMATED", 12)
    with Image.open(io.BytesIO(animation(planes(count)))) as film:
        assert (film.format, film.n_frames, film.info["loop"]) == ("GIF", shown, 0)
        first = np.asarray(film.convert("RGB")).astype(int)
        film.seek(shown - 1)
        last = np.asarray(film.convert("RGB")).astype(int)
    assert first.shape == last.shape
    assert np.abs(first - last).max() > 100


def test_a_constant_field_can_be_drawn():
    shown = planes()
    flat = attrs.evolve(shown, fields=np.zeros_like(shown.fields))
    assert matplotlib.image.imread(io.BytesIO(png(solution_figure(flat)))).shape[2] == 4
    assert animation(flat).startswith(b"GIF89a")
