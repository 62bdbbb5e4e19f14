"""Many samples, a batch at a time."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor

from deis.diffusion.ode import ProbabilityFlowODE
from deis.diffusion.sampling import sample
from deis.grids import GridFamily
from deis.integrators.base import Integrator
from deis.odes.base import SemilinearODE
from deis.solve import Solution

ODE = TypeVar("ODE", bound=SemilinearODE)


@attrs.frozen
class Request:
    """Which samples are wanted, and how they are computed.

    :param ode_of: the probability-flow ODE for samples of some seeds; only what it is conditioned on may differ.
    :param shape: shape of one sample.
    :param seeds: one seed a sample.
    :param grid: of integrators that bring none of their own.
    :param batch: most samples at a time.
    """

    ode_of: Callable[[Sequence[int]], ProbabilityFlowODE]
    shape: tuple[int, ...]
    seeds: tuple[int, ...]
    grid: GridFamily
    batch: int
    dtype: torch.dtype
    device: str

    def split(self) -> Iterator[Sequence[int]]:
        """The seeds of each batch."""
        return (self.seeds[i : i + self.batch] for i in range(0, len(self.seeds), self.batch))

    def sample(
        self, seeds: Sequence[int], integrator: Integrator, nfe: int | None, *, keep_states: bool = False
    ) -> Solution:
        """Samples of these seeds, in one batch; arguments as in :func:`~deis.sample`."""
        return sample(
            self.ode_of(seeds),
            self.shape,
            seeds,
            nfe=nfe,
            integrator=integrator,
            grid=integrator.own_grid or self.grid,
            keep_states=keep_states,
            dtype=self.dtype,
            device=self.device,
        )

    @property
    def ode(self) -> ProbabilityFlowODE:
        """The ODE for one sample, of which schedule and clocks are those of all."""
        return self.ode_of(self.seeds[:1])

    @property
    def batches(self) -> int:
        """Number of batches."""
        return -(-len(self.seeds) // self.batch)


@attrs.frozen(eq=False)
class Drawn:
    """What :func:`draw` returns."""

    x: Tensor
    """Samples, shape (len(seeds), *shape), on the CPU."""
    nfe: int
    """Network calls a batch; the largest number, where a method chooses it itself."""
    seconds: float
    seconds_in_network: float


def draw(request: Request, integrator: Integrator, nfe: int | None) -> Drawn:
    """Draw the samples that are asked for; a sample does not depend on its batch, unless the method is adaptive."""
    began = time.perf_counter()
    solutions = [request.sample(seeds, integrator, nfe) for seeds in request.split()]
    x = torch.cat([solution.x.cpu() for solution in solutions])
    in_network = sum(solution.seconds_in_network for solution in solutions)
    return Drawn(x, max(solution.nfe for solution in solutions), time.perf_counter() - began, in_network)


def watched(request: Request, tick: Callable[[], object]) -> Request:
    """The same request, which calls ``tick`` after every network call."""
    return attrs.evolve(request, ode_of=lambda seeds: ticking(request.ode_of(seeds), tick))


def ticking(ode: ODE, tick: Callable[[], object], name: str = "network") -> ODE:
    """The same ODE, which calls ``tick`` after every call of the function that is its field ``name``, if it has it."""
    function = getattr(ode, name, None)
    if function is None:
        return ode

    def ticked(*asked: Any) -> Any:
        value = function(*asked)
        tick()
        return value

    instance: Any = ode
    found: ODE = attrs.evolve(instance, **{name: ticked})
    return found
