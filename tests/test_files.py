import os
import stat

import pytest

from deis import OutputError
from deis.files import output_folder, whole_file, write_text


def write_half(path):
    with whole_file(path) as file:
        file.write(b"half of the ne")
        raise KeyboardInterrupt


def test_interrupted_writing_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_failed_first_writing_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="no"), whole_file(tmp_path / "a.txt"):
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as file:
        file.write(b"x")
        assert not path.exists()
    assert path.read_bytes() == b"x"


def test_files_get_the_permissions_of_the_process(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["missing/a.txt", "folder"])
def test_a_place_that_cannot_hold_the_file_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=f"cannot write .*{name}"):
        write_text(tmp_path / name, "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


def test_output_folders_are_made_with_their_parents(tmp_path):
    output_folder(tmp_path / "a" / "b", ["x"])
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_existing_results_are_replaced_only_by_force(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(OutputError, match=r"already holds x; .*--force"):
        output_folder(tmp_path, ["x", "y"])
    output_folder(tmp_path, ["x", "y"], force=True)
    output_folder(tmp_path, ["y"])
    assert (tmp_path / "x").read_text() == "old"


def test_a_folder_in_the_place_of_a_result_is_refused_even_by_force(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match="which is a folder"):
        output_folder(tmp_path, ["x"], force=True)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    write_text(tmp_path / "x", "")
    with pytest.raises(OutputError, match="cannot write to the folder"):
        output_folder(tmp_path / "x", ["y"])
    with pytest.raises(OutputError, match="cannot write to the folder"):
        output_folder(tmp_path / "x" / "deeper", ["y"])
