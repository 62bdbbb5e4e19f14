"""Train the digits U-Net and the digits classifier that ship in deis/zoo/data.

    OMP_NUM_THREADS=1 python -m benchmarks.train_digits --threads 1

All randomness of a training step is a function of the seed and the step's number, so an interrupted run
that is started again continues as if nothing had happened (the checkpoint is removed at the end).
"""

import io
import json
import platform
import time
from pathlib import Path
from typing import Any

import click
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import trange

from benchmarks.training import (
    learning_rate,
    parameters,
    running_mean,
    save_weights,
    strata,
    update,
    write_json,
    write_whole,
)
from deis.diffusion.schedules import VPLinear
from deis.zoo.classifier import DigitsClassifier
from deis.zoo.unet import NO_LABEL, DigitsUNet
from deis.zoo.weights import CLASSIFIER_FILE, IMAGES_FILE, UNET_FILE, load_images

REPOSITORY = Path(__file__).resolve().parents[1]
DATA = REPOSITORY / "deis" / "zoo" / "data"
RESULTS = REPOSITORY / "benchmarks" / "results" / "train_digits.json"
CHECKPOINT = REPOSITORY / "build" / "train_digits.pt"

BATCH, LEARNING_RATE, WARMUP, EMA_DECAY, LABEL_DROPOUT = 128, 1.5e-3, 500, 0.999, 0.1
SAVE_EVERY, EVALUATE_EVERY = 500, 2000
CLASSIFIER_STEPS, HELD_OUT = 3000, 360
SCHEDULE = VPLinear()
PATH = click.Path(path_type=Path)

Data = tuple[Tensor, Tensor]  # images (n, 1, 8, 8), labels (n,)


def write_images() -> None:
    """Copy the digits of scikit-learn, value 0 to 16 and label 0 to 9, to the package."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    digits = load_digits()
    tensors = {
        "images": torch.from_numpy(digits.images).to(torch.uint8),
        "labels": torch.from_numpy(digits.target).to(torch.uint8),
    }
    write_whole(DATA / IMAGES_FILE, safetensors.torch.save(tensors))


def split(data: Data) -> tuple[Data, Data]:
    """Shuffle, the same way whatever the seed of the training, and set the last ``HELD_OUT`` images apart."""
    images, labels = data
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, held_out = order[:-HELD_OUT], order[-HELD_OUT:]
    return (images[train], labels[train]), (images[held_out], labels[held_out])


def denoising_loss(network: nn.Module, data: Data) -> Tensor:
    """Mean square error of eps, with times stratified over [t_min, t_max]."""
    images, labels = data
    t = SCHEDULE.t_min + (SCHEDULE.t_max - SCHEDULE.t_min) * strata(len(images))
    alpha, sigma = (level(t).float()[:, None, None, None] for level in (SCHEDULE.alpha, SCHEDULE.sigma))
    eps = torch.randn_like(images)
    return functional.mse_loss(network(alpha * images + sigma * eps, t, labels), eps)


@torch.no_grad()
def fixed_loss(network: nn.Module, data: Data, repeats: int = 8) -> float:
    """The denoising loss on noise and times that are the same at each call."""
    network.eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        order = [torch.randperm(len(data[0])) for _ in range(repeats)]
        losses = [denoising_loss(network, (data[0][o], data[1][o])) for o in order]
    return torch.stack(losses).mean().item()


class DenoiserTraining:
    """The U-Net, its running mean, its optimizer and how far they have come."""

    def __init__(self, train: Data, held_out: Data, steps: int, seed: int, checkpoint: Path) -> None:
        torch.manual_seed(seed)
        self.train, self.held_out, self.steps, self.seed = train, held_out, steps, seed
        self.checkpoint = checkpoint
        self.network = DigitsUNet()
        self.average = running_mean(self.network, EMA_DECAY)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=0.01, foreach=True)
        self.progress: dict[str, Any] = {"seed": seed, "planned": steps, "step": 0, "seconds": 0.0}
        self.progress["history"] = []
        if checkpoint.exists():
            self.resume()

    def resume(self) -> None:
        """Continue from the checkpoint, which must be of the same seed and number of steps."""
        saved = torch.load(self.checkpoint, weights_only=True)
        if (saved["progress"]["seed"], saved["progress"]["planned"]) != (self.seed, self.steps):
            raise click.UsageError(f"{self.checkpoint} has another --seed or --steps; remove it to start afresh")
        self.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.progress = saved["progress"]

    def save(self) -> None:
        """Write the checkpoint."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        buffer = io.BytesIO()
        torch.save({**parts, "progress": self.progress}, buffer)
        write_whole(self.checkpoint, buffer.getvalue())

    def step(self, index: int) -> float:
        """One update; returns the loss of its batch."""
        torch.manual_seed(self.seed * 1_000_003 + index)
        chosen = torch.randint(len(self.train[0]), (BATCH,))
        images, labels = self.train[0][chosen], self.train[1][chosen]
        labels = torch.where(torch.rand(BATCH) < LABEL_DROPOUT, NO_LABEL, labels)
        self.network.train()
        loss = denoising_loss(self.network, (images, labels))
        update(self.network, self.optimizer, loss, learning_rate(index, self.steps, LEARNING_RATE, WARMUP))
        self.average.update_parameters(self.network)
        return loss.item()

    def evaluate(self) -> None:
        """Append the losses of the running mean to the history."""
        train, held_out = (fixed_loss(self.average, data) for data in (self.train, self.held_out))
        self.progress["history"].append({"step": self.progress["step"], "train": train, "held_out": held_out})

    def run(self, minutes: float) -> None:
        """Train until the planned step, or until ``minutes`` are spent."""
        done, begin = self.progress["step"], time.monotonic() - self.progress["seconds"]
        bar = trange(done, self.steps, initial=done, total=self.steps, desc="U-Net", mininterval=5)
        for index in bar:
            loss = self.step(index)
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self.progress |= {"step": index + 1, "seconds": time.monotonic() - begin}
            late = self.progress["seconds"] > 60 * minutes
            if (index + 1) % EVALUATE_EVERY == 0 or index + 1 == self.steps or late:
                self.evaluate()
                bar.write(json.dumps(self.progress["history"][-1]))
            if (index + 1) % SAVE_EVERY == 0 or late:
                self.save()
            if late:
                break


def shifted(images: Tensor) -> Tensor:
    """Each image moved by up to one pixel each way, with background (-1) coming in."""
    padded = functional.pad(images[:, 0], (1, 1, 1, 1), value=-1.0)
    dy, dx = torch.randint(3, (2, len(images), 1, 1))
    rows, columns = torch.arange(8)[:, None] + dy, torch.arange(8)[None, :] + dx
    return padded[torch.arange(len(images))[:, None, None], rows, columns].unsqueeze(1)


def train_classifier(train: Data, seed: int) -> DigitsClassifier:
    """Cross entropy on shifted images."""
    torch.manual_seed(seed)
    network = DigitsClassifier()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05, foreach=True)
    for index in trange(CLASSIFIER_STEPS, desc="classifier", mininterval=5):
        chosen = torch.randint(len(train[0]), (BATCH,))
        logits = network(shifted(train[0][chosen]))
        loss = functional.cross_entropy(logits, train[1][chosen], label_smoothing=0.05)
        update(network, optimizer, loss, learning_rate(index, CLASSIFIER_STEPS, 2e-3, 100))
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, data: Data) -> float:
    """Share of the images whose digit is found."""
    right: Tensor = network(data[0]).argmax(dim=1) == data[1]
    return right.double().mean().item()


@torch.no_grad()
def sample(network: nn.Module, labels: Tensor, calls: int) -> Tensor:
    """Images by DDIM (arXiv 2010.02502, eq. 12 without noise) on times whose square roots are evenly spaced.

    Written out, so that the record of the weights depends on none of the package's integrators.
    """
    torch.manual_seed(0)
    x = torch.randn(len(labels), 1, 8, 8)
    t = torch.linspace(SCHEDULE.t_max**0.5, SCHEDULE.t_min**0.5, calls + 1, dtype=torch.float64) ** 2
    alpha, sigma = SCHEDULE.alpha(t).tolist(), SCHEDULE.sigma(t).tolist()
    for n in trange(calls, desc="samples"):
        eps = network(x, t[n].expand(len(x)), labels)
        x = alpha[n + 1] * (x - sigma[n] * eps) / alpha[n] + sigma[n + 1] * eps
    return x


def sample_figures(network: nn.Module, classifier: nn.Module, train: Data, held_out: Data) -> dict[str, float]:
    """Do the samples show the digit asked for, and are they copies of training images?"""
    labels = torch.arange(10).repeat(100)
    images = sample(network, labels, calls=50)
    nearest = {
        name: torch.cdist(some.flatten(1), train[0].flatten(1)).amin(dim=1).mean().item()
        for name, some in {"samples": images, "held_out": held_out[0]}.items()
    }
    return {
        "count": len(labels),
        "classified_as_asked": accuracy(classifier, (images, labels)),
        "mean_distance_to_nearest_training_image": nearest["samples"],
        "same_for_held_out_images": nearest["held_out"],
    }


@click.command(help=__doc__)
@click.option("--steps", type=click.IntRange(1), default=9000, show_default=True, help="U-Net updates.")
@click.option("--minutes", default=45.0, show_default=True, help="Stop the U-Net after this long.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--out", type=PATH, default=DATA, show_default=True, help="Folder for the weights.")
@click.option("--results", type=PATH, default=RESULTS, show_default=True, help="JSON file.")
@click.option("--checkpoint", type=PATH, default=CHECKPOINT, show_default=True, help="File to resume from.")
def main(**options: Any) -> None:
    torch.set_num_threads(options["threads"])
    if not (DATA / IMAGES_FILE).exists():
        write_images()
    train, held_out = split(load_images())
    classifier = train_classifier(train, options["seed"])
    save_weights(classifier, options["out"] / CLASSIFIER_FILE)
    training = DenoiserTraining(train, held_out, options["steps"], options["seed"], options["checkpoint"])
    training.run(options["minutes"])
    unet = training.average.module.eval()
    save_weights(unet, options["out"] / UNET_FILE)
    record = {
        "unet": {**training.progress, "final_loss": training.progress["history"][-1]},
        "unet_parameters": parameters(unet),
        "unet_samples": sample_figures(unet, classifier, train, held_out),
        "classifier_parameters": parameters(classifier),
        "classifier_accuracy": {
            "train": accuracy(classifier, train),
            "held_out": accuracy(classifier, held_out),
        },
        "split": {"train": len(train[0]), "held_out": len(held_out[0])},
        "threads": options["threads"],
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    write_json(options["results"], record)
    training.checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
