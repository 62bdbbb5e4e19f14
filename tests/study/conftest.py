import hashlib
import json

import pytest
import safetensors.torch
import torch

from deis.study.record import checksum

TOML = 'title = "Samplers & <digits>"\nbudgets = [5, 10]\nseeds = "0-255"\n'
ERRORS = {"tab3": (0.046, 0.0089), "ddim": (0.091, 0.048), "rhoab3": (0.047, 0.02)}


def cell_id(label, budget):
    return f"{label}-{budget or 'adaptive'}-00000000"


def cell(label, budget, error=None, frechet=None, seconds=1.0, target="digits", **more):
    """One cell file; metrics with an interval of 5 % to both sides."""
    measured = {"error": error, "frechet": frechet}
    metrics = {name: {"value": v, "low": 0.95 * v, "high": 1.05 * v} for name, v in measured.items() if v is not None}
    about = {
        "target": target,
        "kind": "model",
        "name": "digits-exact",
        "label": label,
        "integrator": f"Integrator({label})",
        "grid": "t2",
        "budget": budget,
        "seeds": "0-255",
    }
    return {
        "id": cell_id(label, budget),
        "cell": about,
        "nfe": budget,
        "metrics": metrics,
        "uncertainty": {},
        "note": "",
        "timing": {"seconds": seconds, "seconds_in_network": seconds / 2},
    } | more


@pytest.fixture
def write_study(tmp_path):
    """Write the files of a study from its cells, and return the folder."""

    def write(cells, references=(), title="Samplers & <digits>", missing=(), pictures=True):
        (tmp_path / "cells").mkdir()
        (tmp_path / "study.toml").write_text(TOML)
        listed = [{"id": one["id"], "label": f"{one['cell']['label']} {one['cell']['budget']}"} for one in cells]
        index = {
            "title": title,
            "cells": [*listed, *({"id": name, "label": f"the cell {name}"} for name in missing)],
            "references": [{"id": one["id"], "label": f"reference of {one['cell']['target']}"} for one in references],
            "versions": {"deis": "0.1.0", "torch": "2.0"},
            "command": "deis study run study.toml",
        }
        (tmp_path / "study.json").write_text(json.dumps(index))
        generator = torch.Generator().manual_seed(0)
        for one in (*cells, *references):
            path = tmp_path / "cells" / f"{one['id']}.json"
            content = b""
            if pictures and not one["note"]:
                shapes = {"samples": (16, 1, 8, 8), "trajectory": (one["nfe"] + 1, 4, 1, 8, 8)}
                states = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
                content = safetensors.torch.save(states)
                path.with_suffix(".safetensors").write_bytes(content)
            record = one | {"arrays": hashlib.sha256(content).hexdigest() if content else ""}
            path.write_text(json.dumps(record | {"checksum": checksum(record)}))
        return tmp_path

    return write


@pytest.fixture
def digits_cells():
    """Three integrators at two budgets, an adaptive one, a stochastic one and one that failed."""
    cells = [
        cell(label, budget, error, 10 * error, seconds=0.1 * budget)
        for label, errors in ERRORS.items()
        for budget, error in zip((5, 10), errors, strict=True)
    ]
    return [
        *cells,
        cell("dopri5", None, 1e-6, 0.08, seconds=9.0, nfe=98),
        cell("sddim", 5, None, 0.9),
        cell("euler", 5, note="the nonlinearity returned NaN"),
    ]


@pytest.fixture
def digits_study(write_study, digits_cells):
    """The folder of a complete study."""
    reference = cell(
        "reference", None, None, 0.08, nfe=240, id="reference-digits-00000000", uncertainty={"error": 1e-5}
    )
    return write_study(digits_cells, [reference])
