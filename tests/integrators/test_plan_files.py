"""Plans are kept in files, and what is no plan is refused with its file named."""

import os

import pytest
import torch

import deis
from deis.errors import ArgumentError, OutputError

ODE = deis.DiagonalODE(-torch.arange(4.0), lambda t, x: torch.sin(x))


def plans(*counts):
    return [deis.make_plan(ODE, deis.make_grid("t2")(ODE, count), "tab2") for count in counts]


def test_plans_read_back_are_the_same(tmp_path):
    deis.save_plans(tmp_path / "new" / "folder", plans(12, 5))
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["plan-005.json", "plan-012.json"]
    again = deis.load_plans(folder)
    assert again.plans == tuple(plans(5, 12))
    assert [plan.signature for plan in again.plans] == [plan.signature for plan in plans(5, 12)]
    assert repr(again) == repr(deis.Planned(plans(5, 12)))
    assert deis.load_plans(str(folder / "plan-012.json")).plans == tuple(plans(12))


def test_nothing_is_written_if_the_plans_cannot_be_told_apart(tmp_path):
    with pytest.raises(ArgumentError, match="must differ"):
        deis.save_plans(tmp_path, plans(5, 5))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_of_output(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        deis.save_plans(tmp_path / "file", plans(5))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"plans must be a file that can be read \(No such file.*nothing\.json"):
        deis.load_plans(tmp_path / "nothing.json")
    with pytest.raises(ArgumentError, match=r"plans must be a folder with files plan-\*\.json"):
        deis.load_plans(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'{"format": "deis-plan-2"}'])
def test_a_damaged_file_is_named(tmp_path, content):
    deis.save_plans(tmp_path, plans(3, 5))
    (tmp_path / "plan-003.json").write_bytes(content)
    with pytest.raises(ArgumentError, match=r"plans must be .*plan-003\.json"):
        deis.load_plans(tmp_path)


def test_a_cut_file_is_damaged(tmp_path):
    deis.save_plans(tmp_path, plans(3))
    path = tmp_path / "plan-003.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ArgumentError, match=r"files of sound plans .*plan-003\.json"):
        deis.load_plans(path)


def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "plan-003.json"
    with path.open("wb") as file:
        os.truncate(file.fileno(), 64 * 2**20 + 1)  # a hole, which takes no space
    monkeypatch.setattr(type(path), "read_text", None)
    with pytest.raises(ArgumentError, match=r"files of at most 67108864 bytes.*plan-003\.json of 67108865"):
        deis.load_plans(path)
