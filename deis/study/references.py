"""The converged solutions that the cells of a study are measured against, kept in its folder."""

from functools import lru_cache
from pathlib import Path
from typing import Final

import attrs

from deis.analysis import Reference
from deis.analysis import reference as converged
from deis.errors import DeisError
from deis.study.comparison import reference_samples
from deis.study.targets import ModelTarget, ProblemTarget, Target

STORE: Final = "references"


@attrs.frozen
class Sampling:
    """What all cells of a study share."""

    seeds: str
    batch: int
    metrics: tuple[str, ...]
    reference_nfe: int


def parts(target: Target, sampling: Sampling) -> int:
    """Number of batches of a reference, which can be solved one by one."""
    if isinstance(target, ProblemTarget):
        return 1
    return target.request(sampling.seeds, "t", sampling.batch).batches


def solve_part(target: Target, sampling: Sampling, folder: Path, part: int) -> None:
    """Solve one batch of a reference, so that :func:`solution` finds it in the folder's store.

    What cannot be solved is not there; the cells that need it say why.

    :raises OutputError: if it cannot be written.
    :raises WeightsError: if a network cannot be loaded.
    """
    try:
        if isinstance(target, ProblemTarget):
            solution(target, sampling, folder)
            return
        request = target.request(sampling.seeds, "t", sampling.batch)
        seeds = tuple(list(request.split())[part])
        reference_samples(attrs.evolve(request, seeds=seeds), sampling.reference_nfe, folder / STORE)
    except DeisError as error:
        if isinstance(error, OSError):
            raise


@lru_cache(maxsize=4)  # a worker measures many cells of one target
def solution(target: Target, sampling: Sampling, folder: Path) -> Reference:
    """The reference of a target, from the folder's store where it is kept there.

    :raises DeisError: if it cannot be solved or written.

    >>> sampling = Sampling("0-255", 64, ("error",), 240)
    >>> solution(ProblemTarget("bernoulli"), sampling, Path("results")).method
    'exact'
    """
    store, nfe = folder / STORE, sampling.reference_nfe
    if isinstance(target, ModelTarget):
        return reference_samples(target.request(sampling.seeds, "t", sampling.batch), nfe, store)
    return converged(target.problem, nfe=nfe, store=store)
