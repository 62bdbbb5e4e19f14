"""Train the models of the benchmarks.

    OMP_NUM_THREADS=1 python -m benchmarks.models.train [--model plane]

The weights of a model and its part of the record are written when its training is done.
"""

import json
import platform
import time
from pathlib import Path
from typing import Any

import attrs
import click
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange

from benchmarks.models import Model, load
from benchmarks.models.model import WEIGHTS
from benchmarks.training import learning_rate, parameters, running_mean, save_weights, strata, update, write_json
from deis.diffusion.predictions import prediction

RESULTS = Path(__file__).parents[1] / "results" / "models.json"
EVALUATIONS, FIXED, BATCHES = 10, 4096, 4
PATH = click.Path(path_type=Path)


@attrs.frozen
class Recipe:
    """How a model is trained."""

    steps: int
    batch: int
    rate: float
    warmup: int = 200
    mean_decay: float = 0.998
    weight_decay: float = 0.01


RECIPES = {
    "plane": Recipe(steps=12000, batch=1024, rate=2e-3),
    "patches": Recipe(steps=5000, batch=128, rate=2e-3),
}


def loss(model: Model, network: nn.Module, samples: Tensor) -> Tensor:
    """Mean weighted square error of what the model predicts, with times spread evenly."""
    t = model.times(strata(len(samples)))
    levels = [level.float().reshape(-1, *[1] * len(model.shape)) for level in coefficients(model, t)]
    alpha, sigma, p, q, weight = levels
    eps = torch.randn_like(samples)
    told = network(alpha * samples + sigma * eps, t.float())
    return (weight * functional.mse_loss(told, p * samples + q * eps, reduction="none")).mean()


def coefficients(model: Model, t: Tensor) -> tuple[Tensor, ...]:
    """alpha, sigma, what the prediction holds of x0 and of eps, and the weight of its error."""
    kind, schedule = prediction(model.predicts), model.schedule
    return schedule.alpha(t), schedule.sigma(t), kind.p(schedule, t), kind.q(schedule, t), model.weight(t)


@torch.no_grad()
def fixed_loss(model: Model, network: nn.Module, samples: Tensor) -> float:
    """The loss on samples, noise and times that are the same at each call."""
    network.eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = samples[torch.randint(len(samples), (BATCHES, FIXED // BATCHES))]
        return torch.stack([loss(model, network, batch) for batch in drawn]).mean().item()


def train(model: Model, recipe: Recipe, seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """The running mean of the network, and the record of its training."""
    torch.manual_seed(seed)
    data, network, begin = model.data(), model.blank(), time.monotonic()
    average = running_mean(network, recipe.mean_decay)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay, foreach=True)
    history = []
    bar = trange(recipe.steps, desc=model.name, mininterval=5)
    for step in bar:
        chosen = data.train[torch.randint(len(data.train), (recipe.batch,))]
        now = loss(model, network.train(), chosen)
        update(network, optimizer, now, learning_rate(step, recipe.steps, recipe.rate, recipe.warmup))
        average.update_parameters(network)
        if (step + 1) % (recipe.steps // EVALUATIONS) == 0:
            losses = {name: fixed_loss(model, average, part) for name, part in attrs.asdict(data).items()}
            history.append({"step": step + 1, **losses})
            bar.write(json.dumps(history[-1]))
    return average.module.eval(), {
        **attrs.asdict(recipe),
        "seed": seed,
        "parameters": parameters(network),
        "samples": {name: len(part) for name, part in attrs.asdict(data).items()},
        "seconds": round(time.monotonic() - begin, 1),
        "history": history,
    }


@click.command(help=__doc__)
@click.option("--model", "names", multiple=True, type=click.Choice(list(RECIPES)), default=list(RECIPES))
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--out", type=PATH, default=WEIGHTS, show_default=True, help="Folder for the weights.")
@click.option("--results", type=PATH, default=RESULTS, show_default=True, help="JSON file; other models are kept.")
def main(names: tuple[str, ...], seed: int, threads: int, out: Path, results: Path) -> None:
    torch.set_num_threads(threads)
    for name in names:
        network, figures = train(load(name), RECIPES[name], seed)
        save_weights(network, out / f"{name}.safetensors")
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        held = json.loads(results.read_text()) if results.exists() else {}
        write_json(results, held | {name: {**figures, "threads": threads, "versions": versions}})


if __name__ == "__main__":
    main()
