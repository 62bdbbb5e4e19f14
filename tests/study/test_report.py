import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import safetensors.torch
from matplotlib.image import imread

from deis import ArgumentError, OutputError
from deis.study import report
from deis.study.record import checksum
from deis.zoo import load

VOID = {"meta", "link", "img", "br", "path", "use", "rect"}


class Page(HTMLParser):
    """What tests look at: attributes, text outside of timings, tables."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.tables, self.stable, self._open = [], [], [], []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append((tag, "timing" in (dict(attributes).get("class") or "").split()))
        if tag == "table":
            self.tables.append([])
        if tag == "tr" and self.tables:
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if not self._timed:
            self.stable.append(f"<{tag} {attributes}>")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if not self._timed:
            self.stable.append(f"<{tag} {attributes}>")

    def handle_endtag(self, tag):
        opened, _ = self._open.pop()
        assert opened == tag

    def handle_data(self, data):
        if not self._timed:
            self.stable.append(data)
        if {"td", "th"} & {tag for tag, _ in self._open}:
            self.tables[-1][-1][-1] += data

    @property
    def _timed(self):
        return any(timed for _, timed in self._open)

    @property
    def words(self):
        return " ".join("".join(part for part in self.stable if not part.startswith("<")).split())

    def row(self, table, *first):
        return next(row for row in self.tables[table] if row[: len(first)] == list(first))


def change(folder, name, **values):
    path = folder / "cells" / f"{name}.json"
    record = json.loads(path.read_text()) | values
    path.write_text(json.dumps(record | {"checksum": checksum(record)}))


def pictures(page, alternative):
    return [tag for name, tag in page.tags if name == "img" and tag["alt"] == alternative]


def pixels(uri):
    assert uri.startswith("data:image/png;base64,")
    return imread(io.BytesIO(base64.b64decode(uri.partition(",")[2])), format="png")[..., 0]


def test_three_files_are_written_and_the_page_is_returned(digits_study):
    before = set(digits_study.iterdir())
    assert report(digits_study) == digits_study / "report.html"
    assert {path.name for path in set(digits_study.iterdir()) - before} == {"report.html", "results.csv", "results.tex"}


def test_the_page_needs_nothing_else(digits_study):
    page = Page(report(digits_study))
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert re.match(r"data:|#|$", attributes.get(name) or ""), (tag, attributes)
    assert "@import" not in page.text
    assert re.findall(r"url\((?!#)", page.text) == []
    policy = next(tag["content"] for _, tag in page.tags if "http-equiv" in tag)
    script = re.search(r"<script>(.*?)</script>", page.text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_identifiers_are_unique(digits_study):
    page = Page(report(digits_study))
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(names) == len(set(names))
    used = {attributes["xlink:href"] for tag, attributes in page.tags if tag == "use"}
    assert used <= {f"#{name}" for name in names}


def test_the_best_of_each_budget_is_recommended_with_those_that_cannot_be_told_from_it(digits_study):
    page = Page(report(digits_study))
    assert page.row(0, "5")[1:] == ["tab3", "0.046 ± 0.002", "rhoab3"]
    assert page.row(0, "10")[1:] == ["tab3", "0.0089 ± 0.0004", "none"]


def test_without_errors_the_frechet_distance_recommends(write_study, digits_cells):
    for one in digits_cells:
        one["metrics"].pop("error", None)
    page = Page(report(write_study(digits_cells)))
    assert page.tables[0][0][2] == "Frechet distance"
    assert page.row(0, "5")[1] == "tab3"


def test_the_table_shows_what_was_measured_and_what_was_not(digits_study):
    page = Page(report(digits_study))
    assert page.row(1, "ddim", "t2", "5")[3:] == ["5", "0.091 ± 0.005", "0.91 ± 0.05", "0.5"]
    assert page.row(1, "sddim")[4] == "-"
    assert page.row(1, "dopri5")[2:4] == ["-", "98"]
    assert page.row(1, "converged solution")[3:6] == ["240", "± 1.0e-05", "0.080 ± 0.004"]
    assert "the nonlinearity returned NaN" in page.words


def test_only_the_best_values_of_a_budget_are_bold(digits_study):
    text = report(digits_study).read_text()
    rows = re.findall(r"<tr><td data-key.*?</tr>", text)
    bold = {
        re.search(r'data-key="(\w+)"', row)[1] + " " + re.search(r'number" data-key="(\d*)"', row)[1]: row
        for row in rows
    }
    assert {name for name, row in bold.items() if "<strong>" in row} == {"tab3 5", "tab3 10"}
    assert bold["tab3 5"].count("<strong>") == 2


def test_reports_differ_in_timings_only(digits_study):
    first = Page(report(digits_study))
    assert report(digits_study).read_text() == first.text
    for path in (digits_study / "cells").glob("*.json"):
        change(digits_study, path.stem, timing={"seconds": 123.0 + len(path.stem), "seconds_in_network": 1.0})
    second = Page(report(digits_study))
    assert second.text != first.text
    assert second.stable == first.stable


def test_a_change_of_a_result_is_no_timing(digits_study):
    first = Page(report(digits_study))
    change(digits_study, "ddim-5-00000000", metrics={"error": {"value": 0.092, "low": None, "high": None}})
    assert Page(report(digits_study)).stable != first.stable


def test_text_from_files_is_shown_as_text(write_study, digits_cells):
    evil = "<script>alert(1)</script> {{ 7 * 7 }} \"'&"
    digits_cells[0]["cell"] |= {"label": evil, "grid": evil, "integrator": evil}
    digits_cells[-1]["note"] = evil
    folder = write_study(digits_cells, title=evil)
    (folder / "study.toml").write_text(f"# {evil}")
    page = Page(report(folder))
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert page.words.count("<script>alert(1)</script> {{ 7 * 7 }} \"'&") >= 5


def test_missing_cells_are_named_with_the_way_to_compute_them(write_study, digits_cells):
    page = Page(report(write_study(digits_cells, missing=["heun-5-00000000"])))
    assert "This report is incomplete: 1 of 10 cells are missing or damaged." in page.words
    assert "Missing: the cell heun-5-00000000" in page.words
    assert "deis study run study.toml --outdir ." in page.words
    assert page.row(0, "5")[1] == "tab3"


def test_a_complete_report_does_not_call_itself_incomplete(digits_study):
    assert "incomplete" not in Page(report(digits_study)).words


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"id": "other-00000000", "cell": {"target": "digits", "kind": "model", "name": "digits"}}',
        b'{"id": "ddim-5-00000000", "cell": {"kind": "model"}}',
        b'{"id": "ddim-5-00000000", "cell": {"target": "a", "kind": "", "name": ""}, "metrics": {"e": {"value": NaN}}}',
    ],
)
def test_damaged_cells_are_named_and_the_others_kept(digits_study, content):
    (digits_study / "cells" / "ddim-5-00000000.json").write_bytes(content)
    page = Page(report(digits_study))
    assert "Damaged: ddim-5-00000000.json:" in page.words
    assert "1 of 10 cells are missing or damaged" in page.words
    assert page.row(0, "5")[1] == "tab3"
    assert not any(row[:3] == ["ddim", "t2", "5"] for row in page.tables[1])


def test_files_that_the_study_does_not_list_are_ignored(digits_study):
    source = digits_study / "cells" / "ddim-5-00000000.json"
    (source.with_name("foreign-00000000.json")).write_text(source.read_text())
    before = report(digits_study).read_text()
    source.with_name("foreign-00000000.json").unlink()
    assert report(digits_study).read_text() == before


def test_samples_are_those_of_the_files_with_the_converged_ones_first(digits_study):
    page = Page(report(digits_study))
    names = [
        tag["alt"].removeprefix("Samples: ") for name, tag in page.tags if name == "img" and "Samples" in tag["alt"]
    ]
    assert names[:5] == ["converged solution", "tab3", "ddim", "rhoab3", "sddim"]
    states = safetensors.torch.load_file(digits_study / "cells" / "tab3-5-00000000.safetensors")
    shown = pixels(pictures(page, "Samples: tab3")[0]["src"])
    expected = load("digits-exact").images(states["samples"]).numpy()
    assert shown.shape == (37, 37)
    np.testing.assert_allclose(shown[10:18, 19:27], expected[6], atol=1 / 255)  # the third of the second row


def test_trajectories_lead_from_the_first_state_to_the_last(digits_study):
    page = Page(report(digits_study))
    states = safetensors.torch.load_file(digits_study / "cells" / "tab3-5-00000000.safetensors")["trajectory"]
    shown = pixels(pictures(page, "States from noise to data: tab3, NFE 5")[0]["src"])
    images = load("digits-exact").images(states.flatten(0, 1)).numpy().reshape(6, 4, 8, 8)
    assert shown.shape == (4 * 9 + 1, 6 * 9 + 1)
    np.testing.assert_allclose(shown[1:9, 1:9], images[0, 0], atol=1 / 255)
    np.testing.assert_allclose(shown[28:36, -9:-1], images[-1, 3], atol=1 / 255)


def test_pictures_that_are_missing_or_damaged_are_named(digits_study):
    cells = digits_study / "cells"
    (cells / "tab3-5-00000000.safetensors").unlink()
    content = (cells / "ddim-5-00000000.safetensors").read_bytes()
    (cells / "ddim-5-00000000.safetensors").write_bytes(content[:-4] + b"\0\0\0\0")
    page = Page(report(digits_study))
    for name in ("tab3-5-00000000", "ddim-5-00000000"):
        assert f"No pictures: {name}.safetensors is missing or damaged" in page.words
    assert page.row(0, "5")[1] == "tab3"


def test_problems_and_unknown_models_go_without_pictures(write_study, digits_cells):
    for number, one in enumerate(digits_cells):
        one["cell"] |= {"kind": "problem", "name": "bernoulli"} if number % 2 else {"name": "not-installed"}
    page = Page(report(write_study(digits_cells)))
    assert not any(name == "img" for name, _ in page.tags)
    assert "None of the targets is a model of images" in page.words


def test_grids_tell_cells_apart_where_there_are_several(write_study, digits_cells):
    digits_cells[2]["cell"]["grid"] = "t3"
    page = Page(report(write_study(digits_cells)))
    assert page.row(0, "5")[1] == "tab3, t2"
    assert pictures(page, "Samples: ddim, t3")


def test_equal_notes_are_written_once(write_study, digits_cells):
    for one in digits_cells[:2]:
        one["note"] = "another clock was used"
    assert "digits, tab3 (budget 5, 10): another clock was used" in Page(report(write_study(digits_cells))).words


def test_nothing_finished_still_makes_a_report(write_study):
    page = Page(report(write_study([], missing=["a-00000000", "b-00000000"])))
    assert "2 of 2 cells are missing or damaged" in page.words


def test_everything_to_reproduce_is_on_the_page(digits_study):
    words = Page(report(digits_study)).words
    for piece in ("deis study run study.toml", "torch2.0", 'seeds = "0-255"', "Seeds: 0-255", "arXiv:2204.13902"):
        assert piece in words.replace("torch 2.0", "torch2.0"), piece


def test_plots_are_vector_graphics_with_text_in_the_colours_of_the_page(digits_study):
    page = Page(report(digits_study))
    pattern = r'<figure( class="timing")?><svg.*?</svg>\s*<figcaption[^>]*>(.*?)</figcaption>'
    figures = re.findall(pattern, page.text, re.S)
    assert figures == [
        ("", "Error per sample against network calls (NFE)"),
        (' class="timing"', "Error per sample against seconds"),
        ("", "Frechet distance against network calls (NFE)"),
    ]
    assert re.search(r"<text[^>]*font-family: sans-serif[^>]*>Error per sample</text>", page.text)
    assert "#000000" not in re.sub(r"<style>.*?</style>", "", page.text, flags=re.S)


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"folder must hold a study .* deis study run FILE"):
        report(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change_", [{"cells": 3}, {"title": None, "cells": [{"id": "../../x", "label": "a"}]}])
def test_a_list_of_cells_that_cannot_be_trusted_is_refused(digits_study, change_):
    path = digits_study / "study.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change_))
    with pytest.raises(ArgumentError, match=r"folder must hold a readable study\.json"):
        report(digits_study)


def test_a_report_that_cannot_be_written_leaves_the_old_one(digits_study):
    path = report(digits_study)
    before = path.read_text()
    change(digits_study, "ddim-5-00000000", note="new")
    (digits_study / "results.csv").unlink()
    (digits_study / "results.csv").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        report(digits_study)
    assert path.read_text() == before
