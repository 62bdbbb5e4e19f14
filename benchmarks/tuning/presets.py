"""Presets of the zoo's models: plans for those of some budgets that have none.

    OMP_NUM_THREADS=2 python -m benchmarks.tuning.presets --model digits --nfe 4,6,7 --pairs 512

The plan of a budget is written when it is found, and what it cost to ``results/tuning/presets.json``;
``python -m benchmarks.tuning.measure`` writes those that it measures.
"""

import json

import click
import torch

import deis
from benchmarks.training import write_json
from benchmarks.tuning.measure import RESULTS, STORE, ensemble, rounded, seconds
from deis.cli.options import BUDGETS, Given
from deis.tuning.tune import tune
from deis.zoo.models import MODELS
from deis.zoo.presets import FOLDER


@click.command(help=__doc__)
@click.option("--model", type=click.Choice(list(MODELS)), required=True)
@click.option("--nfe", type=BUDGETS, default=",".join(map(str, range(4, 21))), show_default=True)
@click.option("--pilot", default=64, show_default=True)
@click.option("--pairs", default=512, show_default=True)
def main(model: str, nfe: "Given[tuple[int, ...]]", pilot: int, pairs: int) -> None:
    folder, path = FOLDER / model, RESULTS / "presets.json"
    for budget in nfe.value:
        if not (folder / f"plan-{budget:03d}.json").exists():
            tuned = tune(ensemble(model), budget, pilot=pilot, pairs=pairs, store=STORE)
            deis.save_plans(folder, [tuned.plan])
            content = json.loads(path.read_text()) if path.exists() else {}
            content.setdefault(model, {})[str(budget)] = {
                "pilot": pilot,
                "pairs": pairs,
                "threads": torch.get_num_threads(),
                "returned": tuned.plan.provenance["tuned"],
                "ratio": rounded(tuned.gain),
                "calls": tuned.calls,
                "seconds": seconds(tuned),
            }
            write_json(path, content)


if __name__ == "__main__":
    main()
