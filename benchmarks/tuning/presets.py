"""Presets of the zoo's models: plans for those of some budgets that have none.

    OMP_NUM_THREADS=2 python -m benchmarks.tuning.presets --model digits --nfe 4,6,7 --pairs 512

The plan of a budget is written when it is found; ``python -m benchmarks.tuning.measure`` writes those that it measures.
"""

import click

import deis
from benchmarks.tuning.measure import STORE, ensemble
from deis.cli.options import BUDGETS, Given
from deis.tuning.tune import tune
from deis.zoo.models import MODELS
from deis.zoo.presets import FOLDER


@click.command(help=__doc__)
@click.option("--model", type=click.Choice(list(MODELS)), required=True)
@click.option("--nfe", type=BUDGETS, default=",".join(map(str, range(4, 21))), show_default=True)
@click.option("--pairs", default=512, show_default=True)
def main(model: str, nfe: "Given[tuple[int, ...]]", pairs: int) -> None:
    folder = FOLDER / model
    for budget in nfe.value:
        if not (folder / f"plan-{budget:03d}.json").exists():
            tuned = tune(ensemble(model), budget, pairs=pairs, store=STORE)
            deis.save_plans(folder, [tuned.plan])
            click.echo(f"{budget}: {tuned.plan.provenance['tuned']}, {tuned.gain}, {sum(tuned.seconds.values()):.0f} s")


if __name__ == "__main__":
    main()
