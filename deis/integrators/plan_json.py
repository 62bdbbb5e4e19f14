"""Plans as JSON: every number, the splitting, the provenance and the signature."""

import json
import math
from typing import Any

import torch
from torch import Tensor

from deis.errors import ArgumentError
from deis.fields import is_number
from deis.integrators.plan import HERE, Plan, Row, Stage, Step
from deis.odes.base import Coefficient

_FORMAT = "deis-plan-3"


def plan_to_json(plan: Plan) -> str:
    """The plan as JSON text; numbers are written so that they read back exactly.

    >>> from deis import DiagonalODE, ExponentialEuler
    >>> ode = DiagonalODE(-1.0, lambda t, x: x)
    >>> plan = ExponentialEuler().plan(ode, torch.tensor([0.0, 1.0], dtype=torch.float64))
    >>> plan_from_json(plan_to_json(plan)) == plan
    True
    """
    return json.dumps(
        {
            "format": _FORMAT,
            "splitting": plan.splitting,
            "provenance": dict(plan.provenance),
            "signature": list(plan.signature),
            "steps": [_dump_step(step) for step in plan.steps],
        },
        indent=1,
    )


def plan_from_json(text: str) -> Plan:
    """The plan that :func:`plan_to_json` wrote.

    :raises ArgumentError: if the text is not such a plan; what is wrong is named.
    """
    try:
        data = json.loads(text, parse_constant=_refuse, parse_float=_number)
        if data["format"] != _FORMAT:
            raise ArgumentError("plan", f"must have the format {_FORMAT!r}", data["format"])
        splitting, provenance, signature = _checked(data)
        return Plan([_load_step(step) for step in data["steps"]], splitting, provenance, signature)
    except ArgumentError:
        raise
    except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:  # the last: of torch, and of nesting
        trouble = f"{type(error).__name__}: {error}"
        raise ArgumentError("plan", "must be JSON written by plan_to_json", trouble) from None


def _checked(data: dict[str, Any]) -> tuple[str, dict[str, str], tuple[float, ...]]:
    """What a plan says of itself."""
    splitting, provenance, signature = data["splitting"], data["provenance"], data["signature"]
    if not isinstance(splitting, str):
        raise ArgumentError("splitting", "must be a text", splitting)
    if not isinstance(provenance, dict) or not all(isinstance(value, str) for value in provenance.values()):
        raise ArgumentError("provenance", "must be a table of texts", provenance)
    if not isinstance(signature, list) or not all(map(is_number, signature)):
        raise ArgumentError("signature", "must be a list of finite numbers", signature)
    return splitting, provenance, tuple(map(float, signature))


def _refuse(constant: str) -> None:
    raise ArgumentError("plan", "must hold finite numbers", constant)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # 1e999 is valid JSON
        _refuse(text)
    return value


def _dump_step(step: Step) -> dict[str, Any]:
    return {
        "start": step.start,
        "end": step.end,
        "stages": [{"time": stage.time, "row": _dump_row(stage.row)} for stage in step.stages],
        "advance": _dump_row(step.advance),
        "correct": step.correct and _dump_row(step.correct),
        "error": step.error and _dump_row(step.error),
        "draws": [None if span is None else list(span) for span in step.draws],
    }


def _load_step(data: dict[str, Any]) -> Step:
    return Step(
        float(data["start"]),
        float(data["end"]),
        [Stage(float(stage["time"]), _load_row(stage["row"])) for stage in data["stages"]],
        _load_row(data["advance"]),
        correct=data["correct"] and _load_row(data["correct"]),
        error=data["error"] and _load_row(data["error"]),
        draws=data["draws"],
    )


def _dump_row(row: Row) -> list[Any]:
    return [] if row is HERE else [_dump(row.state), [_dump(c) for c in row.values], [_dump(c) for c in row.noise]]


def _load_row(data: list[Any]) -> Row:
    return Row(_load(data[0]), *(map(_load, numbers) for numbers in data[1:])) if data else HERE


def _dump(c: Coefficient) -> Any:
    if isinstance(c, Tensor):
        c = c.detach()
        if c.is_complex():
            return {"complex": torch.view_as_real(c).tolist()}
        return {"real": c.tolist()}
    return {"complex": [c.real, c.imag]} if isinstance(c, complex) else c


def _load(data: Any) -> Coefficient:
    if not isinstance(data, dict):
        return float(data)
    if "complex" in data:
        return torch.view_as_complex(torch.tensor(data["complex"], dtype=torch.float64))
    return torch.tensor(data["real"], dtype=torch.float64)
