"""On a GPU: the same numbers as on the CPU, and no wait for the device inside the loop."""

import pytest
import torch

import deis

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

NAMES = ["euler", "ddim", "tab3", "polynomial:predict=x0:corrector=true", "rhork-kutta3", "ipndm", "sddim"]


def ode() -> deis.ProbabilityFlowODE:
    return deis.ProbabilityFlowODE(deis.VPLinear(), lambda x, t: torch.tanh(x) * t[:, None])


@pytest.mark.parametrize("name", NAMES)
def test_the_device_gives_the_numbers_of_the_cpu(name):
    x0, noise = torch.randn(4, 3, dtype=torch.float64), deis.SampleNoise(range(4))
    times = deis.make_grid("t2")(ode(), 8)
    here = deis.solve(ode(), x0, times, name, noise=noise).x
    there = deis.solve(ode(), x0.cuda(), times, name, noise=noise).x
    assert there.device.type == "cuda"
    assert torch.allclose(there.cpu(), here, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_never_waits_for_the_device(name):
    x0, noise = torch.randn(4, 3, device="cuda"), deis.SampleNoise(range(4))
    states = deis.iterate(ode(), x0, deis.make_grid("t2")(ode(), 8), name, noise=noise)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in states:
            pass
    finally:
        torch.cuda.set_sync_debug_mode("default")
