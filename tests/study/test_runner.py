import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from contextlib import suppress

import pytest
import safetensors.torch
import torch

import deis.files
from deis import ArgumentError, Bernoulli, NonFiniteError, OutputError, sample, zoo
from deis.analysis import geometric_mean_rmse
from deis.study import report
from deis.study.cells import cells, reference_cells
from deis.study.compute import finish
from deis.study.folder import claim
from deis.study.lock import locked
from deis.study.measures import measure
from deis.study.reading import load_study
from deis.study.references import solution
from deis.study.runner import run
from deis.study.workers import Task, WorkerDied, pool, work

OPTIONS = {"nfe": 6, "integrator": "tab2", "grid": "t2", "dtype": torch.float64}
SMALL = """\
title = "Small"
budgets = [2, 6]
seeds = "0-39"
batch = 30
metrics = ["error", "frechet"]
reference_nfe = 120

[[model]]
name = "digits-exact"
label = 3

[[problem]]
name = "bernoulli-complex"

[[integrator]]
name = "tab2"

[[integrator]]
name = "rhork-kutta3"

[[integrator]]
name = "sddim"

[[integrator]]
name = "dop853"
"""

PROGRAM = """\
import sys
from pathlib import Path
from deis.study.runner import run

if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]), jobs=2)
"""


def contents(folder):
    """All files of a folder by name, without what depends on the time."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.parent.name == "cells" and path.suffix == ".json":
            content = {key: value for key, value in json.loads(content).items() if key != "timing"}
        found[path.relative_to(folder).as_posix()] = content
    return found


def records(folder):
    """The cell files by title."""
    listed = json.loads((folder / "study.json").read_text())
    return {
        one["label"]: json.loads((folder / "cells" / f"{one['id']}.json").read_text())
        for one in [*listed["references"], *listed["cells"]]
    }


def first_cell(file):
    return cells(load_study(file)[0])[0]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("studies") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def done(small, tmp_path_factory):
    """The folder of a study that was run by two processes."""
    folder = tmp_path_factory.mktemp("done")
    run(small, folder, jobs=2)
    return folder


@pytest.fixture
def in_process(monkeypatch):
    """Let the tasks be done here, in the order they are handed out; the names of those done."""
    names = []

    def here(workers, jobs, tasks):
        for task in tasks:
            task()
            names.append(task.name)
            yield 1, []

    monkeypatch.setattr("deis.study.runner.work", here)
    return names


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_processes(small, done, tmp_path):
    run(small, tmp_path, jobs=1)
    assert contents(tmp_path) == contents(done)


@pytest.mark.slow
def test_every_cell_is_there(small, done):
    found = records(done)
    study = load_study(small)[0]
    assert list(found) == [cell.title for cell in [*reference_cells(study), *cells(study)]]
    assert (done / "study.toml").read_text() == SMALL
    assert {path.parent.name for path in done.rglob("*.safetensors")} == {"cells", "references"}
    assert not list(done.rglob(".*"))


@pytest.mark.slow
def test_cells_hold_the_samples_and_their_measures(done):
    record = records(done)["digits-exact, label 3, tab2, t2, 6 calls"]
    model = zoo.load("digits-exact")
    ode = model.ode(3)
    drawn = sample(ode, model.shape, range(40), **OPTIONS)
    states = safetensors.torch.load_file(done / "cells" / f"{record['id']}.safetensors")
    path = sample(ode, model.shape, range(4), keep_states=True, **OPTIONS)
    assert record["nfe"] == 6
    assert record["metrics"]["frechet"]["value"] == pytest.approx(measure("frechet", drawn.x, label=3).value)
    torch.testing.assert_close(states["samples"], drawn.x[:16].float())
    torch.testing.assert_close(states["trajectory"], torch.stack(path.states).float())
    assert tuple(states["times"].tolist()) == path.times


@pytest.mark.slow
def test_errors_are_those_to_the_references(small, done):
    found = records(done)
    study = load_study(small)[0]
    known = solution(study.targets[0], first_cell(small).sampling, done)
    drawn = sample(zoo.load("digits-exact").ode(3), (1, 8, 8), range(40), **OPTIONS)
    error = measure("error", drawn.x, reference=known)
    kept = found["digits-exact, label 3, tab2, t2, 6 calls"]["metrics"]["error"]
    assert list(kept.values()) == pytest.approx([error.value, error.low, error.high])
    reference = found["digits-exact, label 3, reference"]
    assert reference["uncertainty"]["error"] == pytest.approx(known.uncertainty(geometric_mean_rmse))
    assert reference["metrics"].keys() == {"frechet"}


@pytest.mark.slow
def test_problems_are_measured_by_their_solution(done):
    found = records(done)
    record = found["bernoulli-complex, tab2, t2, 6 calls"]
    states = safetensors.torch.load_file(done / "cells" / f"{record['id']}.safetensors")
    end = torch.view_as_complex(states["samples"][0])
    error = abs(complex(end) - complex(Bernoulli(3j).exact(1.0)))
    assert record["metrics"]["error_max"]["value"] == pytest.approx(error, rel=1e-3)
    assert record["metrics"]["error_rms"]["value"] == pytest.approx(error, rel=1e-3)
    assert states["trajectory"].shape == (7, 1, 2)
    assert found["bernoulli-complex, reference"]["uncertainty"] == {"error_max": 0.0, "error_rms": 0.0}
    assert found["bernoulli-complex, rhork-kutta3, t2, 6 calls"]["cell"]["integrator"].endswith("clock='t')")


@pytest.mark.slow
def test_what_cannot_be_run_has_a_note_and_nothing_else(done):
    found = records(done)
    few = found["digits-exact, label 3, rhork-kutta3, t2, 2 calls"]
    noisy = found["bernoulli-complex, sddim, t2, 6 calls"]
    assert few["note"].startswith("nfe must be at least 3 for RhoRungeKutta(")
    assert "adds noise, and bernoulli-complex is no diffusion model" in noisy["note"]
    for record in (few, noisy):
        assert (record["metrics"], record["arrays"], record["nfe"], record["timing"]) == ({}, "", None, None)


@pytest.mark.slow
def test_noise_leaves_out_errors_and_adaptive_methods_leave_out_budgets(done):
    found = records(done)
    assert found["digits-exact, label 3, sddim, t2, 6 calls"]["metrics"].keys() == {"frechet"}
    adaptive = found["digits-exact, label 3, dop853"]
    assert (adaptive["cell"]["budget"], adaptive["cell"]["grid"]) == (None, "")
    assert adaptive["nfe"] > 20


@pytest.mark.slow
def test_finished_cells_are_kept(small, done, in_process):
    lines, before = [], contents(done)
    stamps = {path: path.stat().st_mtime_ns for path in (done / "cells").iterdir()}
    run(small, done, say=lines.append)
    assert lines == ["16 of 16 cells are finished already."]
    assert in_process == []
    assert {path: path.stat().st_mtime_ns for path in (done / "cells").iterdir()} == stamps
    assert contents(done) == before


@pytest.mark.slow
def test_damaged_cells_are_computed_again_and_said(small, done, in_process):
    before, lines = contents(done), []
    found = records(done)
    titles = ["digits-exact, label 3, tab2, t2, 6 calls", "bernoulli-complex, tab2, t2, 2 calls"]
    name, other = (found[title]["id"] for title in titles)
    (done / "cells" / f"{name}.json").write_text("{")
    (done / "cells" / f"{other}.safetensors").unlink()
    (done / "cells" / f".{name}.json.0123456789abcdef").write_text("half")
    run(small, done, say=lines.append)
    assert lines[0].startswith(f"{name}.json cannot be used (")
    assert lines[0].endswith("); it is computed again.")
    assert lines[1] == f"{other}.safetensors is missing or damaged; it is computed again."
    assert lines[2:] == ["14 of 16 cells are finished already."]
    assert in_process[-2:] == titles
    assert contents(done) == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_run_is_taken_up_again_without_repeating_what_was_finished(small, done, tmp_path):
    program, folder = tmp_path / "program.py", tmp_path / "out"
    program.write_text(PROGRAM)
    started = subprocess.Popen([sys.executable, program, small, folder], stderr=subprocess.DEVNULL)
    while len(list((folder / "cells").glob("*.json"))) < 5:
        assert started.poll() is None
        time.sleep(0.01)
    children = descendants(started.pid)
    started.send_signal(signal.SIGKILL)
    started.wait()
    assert children
    for child in children:
        wait_for_end(child)
    stamps = {path: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.json")}
    subprocess.run([sys.executable, program, small, folder], check=True, stdout=subprocess.DEVNULL)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert contents(folder) == contents(done)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_run_killed_five_times_anywhere_ends_in_the_same_report(small, done, tmp_path):
    program, folder = tmp_path / "program.py", tmp_path / "out"
    program.write_text(PROGRAM)
    chance = random.Random(0)
    for _ in range(5):
        started = subprocess.Popen(
            [sys.executable, program, small, folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with suppress(subprocess.TimeoutExpired):
            started.wait(chance.uniform(2.0, 9.0))
        children = descendants(started.pid)
        started.kill()
        started.wait()
        for child in children:
            wait_for_end(child)
    subprocess.run([sys.executable, program, small, folder], check=True, stdout=subprocess.DEVNULL)
    assert contents(folder) == contents(done)
    for name in ("report.html", "results.csv"):
        first, second = (untimed(report(place).with_name(name).read_text()) for place in (folder, done))
        assert first == second


def untimed(text):
    """A report without its elements of class timing, and a table without its last two columns, the seconds."""
    text = re.sub(r'<(td|figure)[^>]*class="[^"]*timing.*?</\1>', "", text, flags=re.S)
    return re.sub(r",[^,\n]*,[^,\n]*$", "", text, flags=re.M) if text.startswith("id,") else text


def test_a_second_run_in_the_same_folder_is_refused_and_changes_nothing(small, tmp_path, in_process):
    with locked(tmp_path):
        before = contents(tmp_path)
        for force in (False, True):
            with pytest.raises(OutputError, match=r"another run is at work in .*; wait until it ends, or choose"):
                run(small, tmp_path, force=force)
        assert contents(tmp_path) == before
    with locked(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_a_killed_process_lets_go_of_its_folder(tmp_path):
    program = "import sys, time, pathlib\nfrom deis.study.lock import locked\n"
    program += "with locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    holder = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(OutputError, match="another run is at work"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        pass


def test_file_systems_without_locks_are_used_all_the_same(tmp_path, monkeypatch):
    import fcntl

    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with locked(tmp_path / "other"):
        assert (tmp_path / "other").is_dir()


def test_a_reference_that_cannot_be_solved_costs_its_own_cells_only(small, tmp_path, in_process, monkeypatch):
    def overflow(*args):
        raise NonFiniteError("the nonlinearity returned NaN")

    monkeypatch.setattr("deis.study.references.reference_samples", overflow)
    run(small, tmp_path)
    found = records(tmp_path)
    assert "the nonlinearity returned NaN" in found["digits-exact, label 3, reference"]["note"]
    spoiled = found["digits-exact, label 3, tab2, t2, 6 calls"]
    assert spoiled["note"] == "error: the nonlinearity returned NaN"
    assert spoiled["metrics"].keys() == {"frechet"}
    assert found["bernoulli-complex, tab2, t2, 6 calls"]["metrics"]


def test_a_folder_that_was_moved_is_finished_all_the_same(small, tmp_path, in_process):
    text = small.read_text().replace('[[model]]\nname = "digits-exact"\nlabel = 3\n', "")
    (tmp_path / "study.toml").write_text(text)
    run(str(tmp_path / "study.toml"), str(tmp_path / "here"))
    (tmp_path / "here").rename(tmp_path / "there")
    lines = []
    run(tmp_path / "there" / "study.toml", tmp_path / "there", say=lines.append)
    assert lines == ["8 of 8 cells are finished already."]


def descendants(pid):
    """The processes started by another, in Linux."""
    found = []
    for task in os.listdir("/proc"):
        try:
            with open(f"/proc/{task}/stat") as file:
                if task.isdigit() and int(file.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(task))
        except OSError:
            continue
    return found


def wait_for_end(pid):
    for _ in range(1000):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} outlived its parent")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def touch(path):
    path.touch()


def fail(text):
    raise OutputError(text)


@pytest.mark.slow
def test_a_process_that_dies_is_an_error_that_names_its_task():
    with pool(1) as workers, pytest.raises(WorkerDied, match="died while it worked on one of them: killed"):
        list(work(workers, 1, [Task("one of them", die, ())]))


@pytest.mark.slow
def test_an_error_of_a_task_is_passed_on_after_those_that_run(tmp_path):
    tasks = [Task("a", touch, (tmp_path / "a",)), Task("b", fail, ("disk full",)), Task("c", touch, (tmp_path / "c",))]
    with pool(1) as workers, pytest.raises(OutputError, match="disk full"):
        list(work(workers, 1, tasks))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.slow
def test_tasks_at_work_are_named(tmp_path):
    tasks = [Task(name, touch, (tmp_path / name,)) for name in "abc"]
    with pool(2) as workers:
        events = list(work(workers, 2, tasks))
    assert events[0] == (0, ["a", "b"])
    assert sum(ended for ended, _ in events) == 3
    assert all(len(running) <= 2 for _, running in events)
    assert events[-1][1] == []


def test_an_interruption_says_how_to_go_on(small, tmp_path, monkeypatch):
    def interrupted(workers, jobs, tasks):
        raise KeyboardInterrupt

    monkeypatch.setattr("deis.study.runner.work", interrupted)
    lines = []
    with pytest.raises(KeyboardInterrupt):
        run(small, tmp_path, say=lines.append)
    assert lines == ["Interrupted; what is finished stays. Run the same command again to go on."]


def test_a_full_disk_stops_the_run_and_leaves_finished_cells(small, tmp_path, monkeypatch, in_process):
    real, written = deis.files.Path.replace, []

    def full(path, target):
        written.append(target.name)
        if target.parent.name == "cells" and len(written) > 12:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(deis.files.Path, "replace", full)
    with pytest.raises(OutputError, match=r"cannot write .*cells/.*: No space left on device"):
        run(small, tmp_path)
    finished = list((tmp_path / "cells").glob("*.json"))
    assert finished
    monkeypatch.undo()
    lines = []
    claim(tmp_path, SMALL, force=False)
    monkeypatch.setattr("deis.study.runner.work", lambda workers, jobs, tasks: iter(()))
    run(small, tmp_path, say=lines.append)
    assert lines == [f"{len(finished)} of 16 cells are finished already."]


def test_nothing_is_handed_out_before_it_can_run(monkeypatch):
    started = []

    class Workers:
        def submit(self, task):
            started.append(task.name)
            future = Future()
            future.set_result(None)
            return future

    events = work(Workers(), 2, [Task(name, touch, ()) for name in "abcde"])
    assert next(events) == (0, ["a", "b"])
    assert started == ["a", "b"]
    assert [*events] == [(2, ["c", "d"]), (2, ["e"]), (1, [])]


def test_missing_networks_stop_the_run_and_leave_no_note(small, tmp_path, monkeypatch):
    from deis.zoo.weights import WeightsError

    def missing(*args, **kwargs):
        raise WeightsError("digits_classifier.safetensors", "No such file")

    (tmp_path / "cells").mkdir()
    monkeypatch.setattr("deis.study.compute.measure", missing)
    with pytest.raises(WeightsError, match="cannot load digits_classifier"):
        finish(first_cell(small), tmp_path)
    assert not list((tmp_path / "cells").iterdir())


def test_another_study_is_refused_unless_forced(tmp_path):
    claim(tmp_path, "a", force=False)
    claim(tmp_path, "a", force=False)
    for name in (
        "study.json",
        "report.html",
        "cells/mine.txt",
        "cells/x-01234567.json",
        f"references/{'0' * 64}.safetensors",
    ):
        (tmp_path / name).write_text("kept")
    with pytest.raises(OutputError, match=r"holds the results of another study .*--force"):
        claim(tmp_path, "b", force=False)
    assert (tmp_path / "study.toml").read_text() == "a"
    claim(tmp_path, "b", force=True)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"study.toml", "report.html", "cells/mine.txt"}
    assert (tmp_path / "study.toml").read_text() == "b"


def test_places_that_cannot_hold_results_are_refused(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to the folder"):
        run(small, tmp_path / "file")
    (tmp_path / "out" / "study.toml").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot read .*study\.toml"):
        run(small, tmp_path / "out")


@pytest.mark.parametrize("jobs", [0, 1.5, True, 10**6])
def test_the_number_of_processes_is_checked(small, tmp_path, jobs):
    with pytest.raises(ArgumentError, match="jobs must be a whole number from 1 to 1024"):
        run(small, tmp_path, jobs=jobs)
