import errno
import hashlib
import json
import re

import attrs
import pytest
import torch

import deis.files
from deis import OutputError
from deis.study.cells import Cell, Findings, cells, reference_cells, trouble, write_result
from deis.study.config import Method, Study
from deis.study.folder import write_list
from deis.study.outcomes import Estimate, read_outcome, read_outcomes, read_states
from deis.study.record import checksum
from deis.study.references import Sampling
from deis.study.targets import ModelTarget, ProblemTarget

SAMPLING = Sampling("0-39", 20, ("error",), 100)
CELL = Cell(ModelTarget("digits-exact", label=3), Method("tab3", label="tAB3, best"), SAMPLING, "t2", 10)


def study(**changes):
    return attrs.evolve(
        Study(
            budgets=(5, 8),
            model=(ModelTarget("digits"),),
            problem=(ProblemTarget("bernoulli:lam=3"),),
            integrator=(Method("tab3", grids=("t", "t3")), Method("dopri5"), Method("ddim")),
        ),
        **changes,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "cells").mkdir()
    return tmp_path


@pytest.fixture
def written(folder):
    """A folder with the files of CELL."""
    arrays = {"samples": torch.ones(16, 1, 8, 8), "trajectory": torch.zeros(11, 4, 1, 8, 8), "times": torch.ones(11)}
    write_result(folder, CELL, Findings(10, "", {"error": Estimate(0.1, 0.05, 0.2)}, {}, "", arrays, (2.0, 1.5)))
    return folder


def test_the_matrix_is_target_by_integrator_by_grid_by_budget():
    found = [(cell.target.title, cell.label, cell.grid, cell.budget) for cell in cells(study())]
    one = [("tab3", "t", 5), ("tab3", "t", 8), ("tab3", "t3", 5), ("tab3", "t3", 8), ("dopri5", "", None)]
    one += [("ddim", "t2", 5), ("ddim", "t2", 8)]
    assert found == [(target, *rest) for target in ("digits", "bernoulli:lam=3") for rest in one]
    assert [cell.label for cell in reference_cells(study())] == ["reference", "reference"]


def test_ids_are_readable_and_safe_in_file_names():
    ids = [cell.id for cell in [*cells(study()), *reference_cells(study())]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*-[0-9a-f]{8}", name) for name in ids)
    assert CELL.id.startswith("digits-exact-label-3-tab3-best-t2-10-")
    assert ids[-2].startswith("reference-digits-")
    long = Cell(ModelTarget("digits"), Method("tab3", label="x" * 300), SAMPLING, "t2", 10)
    assert len(long.id) < 100


CHANGES = {
    "model": {"target": ModelTarget("digits-exact", label=4)},
    "precision": {"target": ModelTarget("digits-exact", label=3, dtype="float32")},
    "integrator": {"method": Method("tab3", {"corrector": True}, label="tAB3, best")},
    "grid": {"grid": "t3"},
    "budget": {"budget": 11},
    "seeds": {"sampling": attrs.evolve(SAMPLING, seeds="0-38")},
    "batch": {"sampling": attrs.evolve(SAMPLING, batch=10)},
    "metrics": {"sampling": attrs.evolve(SAMPLING, metrics=("rmse",))},
    "reference": {"sampling": attrs.evolve(SAMPLING, reference_nfe=101)},
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_ids_depend_on_everything_that_determines_the_results(change):
    assert attrs.evolve(CELL, **CHANGES[change]).id != CELL.id


def test_ids_depend_on_the_versions(monkeypatch):
    before = CELL.id
    monkeypatch.setattr("deis.study.cells.versions", lambda: {"deis": "99"})
    assert CELL.id != before


def test_options_that_are_spelled_out_change_nothing():
    assert Method("tab3", {"steps": 4}).integrator == Method("tab3").integrator
    same = attrs.evolve(CELL, method=Method("polynomial", {"steps": 4}, label="tAB3, best"))
    assert same.id == CELL.id


def test_problems_do_not_depend_on_seeds():
    one = Cell(ProblemTarget("ho1"), Method("tab3"), SAMPLING, "t", 5)
    assert one.id == attrs.evolve(one, sampling=attrs.evolve(SAMPLING, seeds="5")).id


def test_files_hold_what_the_report_reads(written):
    record = json.loads((written / "cells" / f"{CELL.id}.json").read_text())
    assert record["id"] == CELL.id
    assert record["metrics"] == {"error": {"value": 0.1, "low": 0.05, "high": 0.2}}
    assert record["timing"] == {"seconds": 2.0, "seconds_in_network": 1.5}
    assert (record["cell"]["class"], record["cell"]["seeds"]) == (3, "0-39")
    write_list(written, "Title", [CELL], [])
    (written / "study.toml").write_text("")
    (outcome,) = read_outcomes(written).cells
    assert (outcome.cell.target, outcome.cell.label, outcome.cell.grid) == ("digits-exact, label 3", "tAB3, best", "t2")
    assert outcome.metrics["error"] == Estimate(0.1, 0.05, 0.2)
    assert read_states(written, outcome)["samples"].shape == (16, 1, 8, 8)


def test_sound_files_are_no_trouble(written):
    assert trouble(written, CELL) == ""


def test_a_cell_without_files_is_not_finished(folder):
    assert trouble(folder, CELL) is None


def test_a_note_is_a_result(folder):
    write_result(folder, CELL, Findings(note="the nonlinearity returned NaN"))
    assert trouble(folder, CELL) == ""
    record = json.loads((folder / "cells" / f"{CELL.id}.json").read_text())
    assert (record["note"], record["metrics"], record["timing"]) == ("the nonlinearity returned NaN", {}, None)
    assert len(list((folder / "cells").iterdir())) == 1


def change(key, value):
    def damage(path):
        record = json.loads(path.read_text())
        record[key] = value
        path.write_text(json.dumps(record))

    return damage


def rename(path):
    record = json.loads(path.read_text()) | {"id": "another"}
    path.write_text(json.dumps(record | {"checksum": checksum(record)}))


DAMAGES = {
    "cut": (lambda path: path.write_text(path.read_text()[:100]), "cannot be used"),
    "binary": (lambda path: path.write_bytes(b"\xff\x00"), "cannot be used"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be used"),
    "list": (lambda path: path.write_text("[]"), "cannot be used"),
    "keys": (lambda path: path.write_text('{"id": "x"}'), "cannot be used"),
    "checksum": (change("note", "better"), "its checksum is another"),
    "another cell": (rename, "it is the cell another"),
    "metric": (change("metrics", {"error": {"value": "small"}}), "could not convert string to float"),
    "type": (change("cell", 3), "cannot be used"),
    "arrays missing": (lambda path: path.with_suffix(".safetensors").unlink(), "safetensors is missing"),
    "arrays cut": (
        lambda path: path.with_suffix(".safetensors").write_bytes(path.with_suffix(".safetensors").read_bytes()[:-1]),
        "safetensors is missing or damaged",
    ),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damaged_and_foreign_files_are_noticed(written, damage):
    spoil, message = DAMAGES[damage]
    spoil(written / "cells" / f"{CELL.id}.json")
    assert message in trouble(written, CELL)


def test_one_flipped_bit_of_the_states_is_noticed(written):
    path = written / "cells" / f"{CELL.id}.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    assert "is missing or damaged" in trouble(written, CELL)


@pytest.mark.slow
def test_what_the_report_calls_damaged_is_computed_again_wherever_a_bit_flips(written):
    """Run and report have one reader, and no bit of the results can change unnoticed; timings are no results."""
    path = written / "cells" / f"{CELL.id}.json"
    sound = path.read_bytes()
    content = results(sound)
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1 << place % 7]) + sound[place + 1 :])
        found = trouble(written, CELL)
        assert bool(found) == isinstance(read_outcome(path), str)
        assert found or results(path.read_bytes()) == content


def results(text):
    return {key: value for key, value in json.loads(text).items() if key != "timing"}


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_cell_unfinished(folder, monkeypatch, suffix):
    real = deis.files.Path.replace

    def full(path, target):
        if str(target).endswith(suffix):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(deis.files.Path, "replace", full)
    with pytest.raises(OutputError, match=rf"cannot write .*{CELL.id}\.{suffix}: No space left"):
        write_result(folder, CELL, Findings(arrays={"samples": torch.ones(1)}))
    assert trouble(folder, CELL) is None
    assert not [path for path in (folder / "cells").iterdir() if path.name.startswith(".")]


def test_equal_results_are_equal_bytes(written):
    path = written / "cells" / f"{CELL.id}.safetensors"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    arrays = {"times": torch.ones(11), "trajectory": torch.zeros(11, 4, 1, 8, 8), "samples": torch.ones(16, 1, 8, 8)}
    write_result(written, CELL, Findings(arrays=arrays))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
