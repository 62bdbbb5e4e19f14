"""Conditional sampling: networks of (x, t, label) as networks of (x, t)."""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from torch import Tensor

from deis.diffusion.ode import check_network, name_of
from deis.errors import ArgumentError, NetworkError
from deis.fields import is_integer, is_number

LabelledNetwork = Callable[[Tensor, Tensor, Tensor], Tensor]


def _labels(instance: Any, attribute: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        if value.dtype != torch.int64 or value.dim() != 1:
            got = f"{value.dtype} of shape {tuple(value.shape)}"
            raise ArgumentError("labels", "must be whole numbers of shape (B,)", got, "pass a torch.int64 tensor")
    elif not is_integer(value):
        raise ArgumentError("labels", "must be a whole number or a torch.int64 tensor of shape (B,)", value)


def _whole(instance: Any, attribute: Any, value: Any) -> None:
    if not is_integer(value):
        raise ArgumentError(attribute.name, "must be a whole number", value)


def _finite(instance: Any, attribute: Any, value: Any) -> None:
    if not is_number(value):
        raise ArgumentError(attribute.name, "must be a finite number", value)


def _of_batch(labels: int | Tensor, x: Tensor) -> Tensor:
    """Labels of shape (B,) on the device of ``x``.

    :raises ArgumentError: if there is not one label a sample.
    """
    if not isinstance(labels, Tensor):
        return torch.full(x.shape[:1], labels, dtype=torch.int64, device=x.device)
    if labels.shape != x.shape[:1]:
        rule = f"must have shape {tuple(x.shape[:1])}, one label a sample"
        raise ArgumentError("labels", rule, tuple(labels.shape), "pass one int for all samples")
    return labels.to(x.device)


@attrs.frozen(eq=False)
class Labelled:
    """A network of (x, t, label) with the labels filled in.

    :param network: ``network(x, t, label)`` with x of shape (B, ...), t and label (int64) of shape (B,).
    :param labels: one label for all samples, or one a sample, shape (B,).

    >>> network = Labelled(lambda x, t, label: x + label[:, None], labels=3)
    >>> network(torch.zeros(2, 1), torch.ones(2))
    tensor([[3.],
            [3.]])
    """

    network: LabelledNetwork = attrs.field(validator=check_network, repr=name_of)
    labels: int | Tensor = attrs.field(validator=_labels)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The prediction under the labels.

        :raises ArgumentError: if there is not one label a sample.
        """
        return self.network(x, t, _of_batch(self.labels, x))


@attrs.frozen(eq=False)
class ClassifierFree:
    """Classifier-free guidance (arXiv 2207.12598): uncond + scale (cond - uncond), for any kind of prediction.

    Both predictions come from one call on a doubled batch, which counts as one network call. ``scale`` 1 needs the
    conditional prediction only, and calls the network on the batch as it is.

    :param network: ``network(x, t, label)`` with x of shape (B, ...), t and label (int64) of shape (B,).
    :param labels: one label for all samples, or one a sample, shape (B,).
    :param scale: strength of the guidance; 0 is unconditional and 1 conditional.
    :param null_label: the label that stands for "no label".

    >>> network = ClassifierFree(lambda x, t, label: x + label[:, None], labels=3, scale=2.0, null_label=1)
    >>> network(torch.zeros(2, 1), torch.ones(2))  # 1 + 2 (3 - 1)
    tensor([[5.],
            [5.]])
    """

    network: LabelledNetwork = attrs.field(validator=check_network, repr=name_of)
    labels: int | Tensor = attrs.field(validator=_labels)
    scale: float = attrs.field(validator=_finite)
    null_label: int = attrs.field(validator=_whole)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """The guided prediction.

        :raises ArgumentError: if there is not one label a sample.
        :raises NetworkError: if the network does not return one prediction a sample of the doubled batch.
        """
        labels = _of_batch(self.labels, x)
        if self.scale == 1:
            return self.network(x, t, labels)
        twice = torch.cat([x, x])
        both = self.network(twice, torch.cat([t, t]), torch.cat([_of_batch(self.null_label, x), labels]))
        if not isinstance(both, Tensor) or both.shape != twice.shape:
            got = f"shape {tuple(both.shape)}" if isinstance(both, Tensor) else type(both).__name__
            raise NetworkError(f"the network must return shape {tuple(twice.shape)} for the doubled batch, got {got}")
        unconditional, conditional = both.chunk(2)
        return unconditional + self.scale * (conditional - unconditional)
