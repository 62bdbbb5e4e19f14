"""What the training scripts have in common."""

import json
import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from deis.files import whole_file

CLIP = 1.0


def learning_rate(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear warmup, then a quarter cosine wave down to zero."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def update(network: nn.Module, optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step down the gradient of ``loss``, clipped."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    optimizer.step()


def running_mean(network: nn.Module, decay: float) -> AveragedModel:
    """The exponentially weighted mean of the parameters, to be told of each update."""
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


def strata(count: int) -> Tensor:
    """Random numbers in [0, 1), float64, one in each of ``count`` equal parts."""
    return (torch.arange(count) + torch.rand(count, dtype=torch.float64)) / count


def parameters(network: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, and the folder that it lies in, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON."""
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the state of ``network`` as safetensors."""
    write_whole(path, safetensors.torch.save(network.state_dict()))
