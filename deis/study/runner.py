"""Studies run: every cell once, by several processes, with what is finished kept whatever happens."""

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from deis.errors import ArgumentError
from deis.fields import is_integer
from deis.study.cells import Cell, cells, reference_cells, trouble
from deis.study.compute import finish
from deis.study.config import Study
from deis.study.folder import claim, write_list
from deis.study.lock import locked
from deis.study.reading import load_study
from deis.study.references import parts, solve_part
from deis.study.workers import Task, pool, work

_MOST_JOBS = 1024


def run(
    file: Path | str,
    folder: Path | str,
    *,
    jobs: int = 1,
    force: bool = False,
    say: Callable[[str], object] = tqdm.write,
) -> Study:
    """Run the study in ``file``: compute the cells that ``folder`` does not hold yet.

    The references come first. Results depend neither on ``jobs`` nor on interruptions. While it runs in a terminal, a
    progress bar names the cells at work. Scripts need ``if __name__ == "__main__"`` around the call.

    :param file: a TOML file, as ``deis study init`` writes one.
    :param folder: made if it is not there; a run that was cut off is taken up again.
    :param jobs: number of processes.
    :param force: remove the results in the folder first.
    :param say: takes lines about what was found and done.
    :raises StudyError: if the file is no study.
    :raises OutputError: if the folder holds another study, another run is at work in it, or a file cannot be written:
        the finished cells stay.
    :raises WorkerDied: if a process dies; the finished cells stay.
    """
    if not is_integer(jobs) or not 1 <= jobs <= _MOST_JOBS:
        raise ArgumentError("jobs", f"must be a whole number from 1 to {_MOST_JOBS}", jobs)
    study, text = load_study(file)
    folder = Path(folder).resolve()
    with locked(folder):
        claim(folder, text, force=force)
        listed, references = cells(study), reference_cells(study)
        write_list(folder, study.title, listed, references)
        stages = _stages(folder, listed, references, say)
        try:
            _work(stages, jobs)
        except KeyboardInterrupt:
            say("Interrupted; what is finished stays. Run the same command again to go on.")
            raise
    return study


def _stages(folder: Path, listed: list[Cell], references: list[Cell], say: Callable[[str], object]) -> list[list[Task]]:
    """What is left to do: parts of the references, the references, the cells; each stage needs the one before."""
    left = [cell for cell in [*references, *listed] if not _done(folder, cell, say)]
    done = len(listed) + len(references) - len(left)
    if done:
        say(f"{done} of {len(listed) + len(references)} cells are finished already.")
    needed = [one for one in references if any(cell.target == one.target for cell in left)]
    prepared = [
        Task(f"reference of {one.target.title}", solve_part, (one.target, one.sampling, folder, part))
        for one in needed
        for part in range(parts(one.target, one.sampling))
    ]
    computed = [[cell for cell in left if (cell.method is None) == first] for first in (True, False)]
    return [prepared, *([Task(cell.title, finish, (cell, folder)) for cell in stage] for stage in computed)]


def _done(folder: Path, cell: Cell, say: Callable[[str], object]) -> bool:
    found = trouble(folder, cell)
    if found:
        say(f"{found}; it is computed again.")
    return found == ""


def _work(stages: list[list[Task]], jobs: int) -> None:
    total = sum(map(len, stages))
    if not total:
        return
    with pool(min(jobs, total)) as workers, tqdm(total=total, unit="cell", disable=None, leave=False) as bar:
        for stage in stages:
            for ended, running in work(workers, jobs, stage):
                bar.update(ended)
                bar.set_postfix_str("; ".join(running))
