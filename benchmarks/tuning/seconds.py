"""How long choosing takes: plans for the trained digits on a machine that does nothing else.

    OMP_NUM_THREADS=2 python -m benchmarks.tuning.seconds --nfe 15

Solutions of the pilot and of the held-out samples come from the store where they are known.
"""

import json

import click
import torch

from benchmarks.training import write_json
from benchmarks.tuning.measure import RESULTS, STORE, ensemble, seconds
from deis.cli.options import BUDGETS, Given
from deis.tuning.tune import tune


@click.command(help=__doc__)
@click.option("--nfe", type=BUDGETS, default="5,8,10,15", show_default=True)
def main(nfe: "Given[tuple[int, ...]]") -> None:
    path = RESULTS / "seconds.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    for budget in nfe.value:
        tuned = tune(ensemble("digits"), budget, store=STORE)
        parts = seconds(tuned)
        content[str(budget)] = {"threads": torch.get_num_threads(), "calls": tuned.calls, "seconds": parts}
        write_json(path, content)
        click.echo(f"{budget}: {parts}")


if __name__ == "__main__":
    main()
