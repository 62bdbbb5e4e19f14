"""Tensors that a nonlinearity needs beside its state."""

import torch
from torch import Tensor


class Constant:
    """A tensor, in the precision and on the device of whatever it meets.

    It is cast once for each precision and device, so that a nonlinearity that uses it waits for a device only in its
    first call. A complex tensor stays complex where it meets a real one, and a real one real.

    >>> factor = Constant(torch.ones(2, dtype=torch.complex128))
    >>> factor.like(torch.zeros(2, dtype=torch.float32))
    tensor([1.+0.j, 1.+0.j])
    """

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self._cast: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def like(self, x: Tensor) -> Tensor:
        """The tensor in the precision of ``x``, on its device."""
        found = self._cast.get((x.dtype, x.device))
        if found is None:
            dtype = x.dtype.to_complex() if self._tensor.is_complex() else x.dtype.to_real()
            with torch.inference_mode(False):  # what is kept may meet a graph later
                found = torch.func.debug_unwrap(self._tensor.to(x.device, dtype, copy=True), recurse=True)
            self._cast[x.dtype, x.device] = found
        return found
