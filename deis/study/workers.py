"""Processes that work through tasks, a task at a time each."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any

import attrs
import torch

from deis.errors import DeisError


@attrs.frozen
class Task:
    """A call of a function at the top of a module, with plain values, that returns nothing."""

    name: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]

    def __call__(self) -> None:
        self.function(*self.arguments)


class WorkerDied(DeisError, RuntimeError):
    """A process ended in the middle of its task."""


def pool(jobs: int) -> ProcessPoolExecutor:
    """Processes of one thread each, whatever their number, so that numbers do not depend on it."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_start)


def work(workers: ProcessPoolExecutor, jobs: int, tasks: Sequence[Task]) -> Iterator[tuple[int, list[str]]]:
    """Run the tasks; now and then, how many have ended since the last time, and the names of those that run.

    No more are handed out than can run, so that those that run are known and an interruption waits for no others.

    :raises WorkerDied: if a process ends in the middle of a task.
    """
    waiting, running, ended = iter(tasks), dict[Future[None], str](), 0
    while True:
        running |= {workers.submit(task): task.name for task in islice(waiting, jobs - len(running))}
        yield ended, list(running.values())
        if not running:
            return
        done = wait(running, return_when=FIRST_COMPLETED).done
        for future in done:
            try:
                future.result()
            except BrokenProcessPool as error:
                raise WorkerDied(
                    f"a process died while it worked on {' or '.join(running.values())}: killed, or out of memory "
                    "(or started by a script without if __name__ == '__main__'); what is finished stays"
                ) from error
            del running[future]
        ended = len(done)


def _start() -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent is killed would wait for tasks for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
