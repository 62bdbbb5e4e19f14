"""Whether adaptive-exprb43 keeps its tolerance on stiff systems, and what it takes."""

import time
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor
from tqdm import tqdm

import deis
from deis.problems.kinetics import Robertson, VanDerPol
from deis.problems.linearised import LinearisedProblem
from deis.problems.reactions import ReactionNetwork

TOLERANCES: Final = tuple(10.0**-n for n in range(3, 10))
MOST_STEPS: Final = 200_000
PROMISED: Final = 10


@attrs.frozen(eq=False)
class Subject:
    """A problem, with the times at which it is looked at.

    :param scale: atol over rtol: of the size of the smallest component that matters.
    """

    problem: LinearisedProblem
    times: tuple[float, ...]
    scale: float = 1.0


SUBJECTS: Final = {
    "van-der-pol": Subject(VanDerPol(), (0.0, 0.5, 1.0, 1.5, 2.0)),
    "robertson": Subject(Robertson(), (0.0, 1.0, 1e2, 1e4), 1e-4),  # B never exceeds 4e-5
    "reaction-network": Subject(ReactionNetwork(), (0.0, 1.0, 10.0, 60.0), 1e-4),  # many species stay below 1e-3
}


def states(subject: Subject, method: str, rtol: float) -> Tensor:
    """States at the times by scipy, shape (times, d), with the exact Jacobian and a negligible atol."""
    slope, times = subject.problem.slope, subject.times
    jacobian = torch.func.jacrev(slope)
    found = solve_ivp(
        lambda t, y: slope(torch.from_numpy(y)).numpy(),
        (times[0], times[-1]),
        subject.problem.initial.numpy(),
        method,
        times,
        rtol=rtol,
        atol=1e-6 * rtol * subject.scale,
        jac=lambda t, y: jacobian(torch.from_numpy(np.asarray(y))).numpy(),
    )
    return torch.from_numpy(found.y.T.copy())


def tolerances(subject: Subject, rtol: float, reference: Tensor) -> Tensor:
    """What is tolerated in each component."""
    return rtol * (subject.scale + reference.abs())


def worst(subject: Subject, rtol: float, found: Tensor, reference: Tensor) -> float:
    """The largest error over the times, in units of the tolerance: root mean square over components, as it controls."""
    errors = (found - reference) / tolerances(subject, rtol, reference)
    return float(errors.square().mean(-1).sqrt().max())


def solved(subject: Subject, rtol: float, reference: Tensor, most_steps: int = MOST_STEPS) -> dict[str, Any]:
    """One solve, judged."""
    atol, pair = rtol * subject.scale, deis.ExponentialRosenbrock("exprb43")
    method = deis.Adaptive(pair, rtol, atol, most_steps=most_steps, partial=True)
    began = time.perf_counter()
    found = deis.solve(subject.problem.ode, subject.problem.initial, subject.times, method, keep_states=True)
    spent = time.perf_counter() - began
    record = {
        "rtol": rtol,
        "atol": rtol * subject.scale,
        "seconds": spent,
        "accepted": found.steps,
        "rejected": found.rejected,
        "evaluations": found.nfe,
    }
    if found.diagnosis:
        return {**record, "diagnosis": found.diagnosis}
    assert found.states is not None
    states = torch.stack(found.states)
    return {
        **record,
        "error": float((states - reference).abs().max()),
        "error over tolerance": worst(subject, rtol, states, reference),
    }


def studied(subject: Subject, rtols: tuple[float, ...] = TOLERANCES) -> dict[str, Any]:
    """All tolerances, against Radau at 1e-13, which is held against LSODA."""
    reference, other = states(subject, "Radau", 1e-13), states(subject, "LSODA", 1e-13)
    uncertainty = worst(subject, min(rtols), other, reference)
    rows = [solved(subject, rtol, reference) for rtol in tqdm(rtols, desc=type(subject.problem).__name__, disable=None)]
    return {
        "times": subject.times,
        "uncertainty of the reference over the least tolerance": uncertainty,
        "promised error over tolerance": PROMISED,
        "runs": rows,
    }


def measured(repeats: int) -> dict[str, Any]:
    """All problems; nothing is repeated."""
    return {name: studied(subject) for name, subject in SUBJECTS.items()}


def lines(record: Mapping[str, Any]) -> list[str]:
    """A short table."""
    return [
        f"{name}, rtol {row['rtol']:.0e}: "
        + (row["diagnosis"] if "diagnosis" in row else f"error {row['error over tolerance']:.3g} of the tolerance")
        + f", {row['accepted']} steps, {row['rejected']} rejected, {row['evaluations']} evaluations, "
        f"{row['seconds']:.3g} s"
        for name, part in record.items()
        for row in part["runs"]
    ]
