"""The Kuramoto-Sivashinsky equation by exponax, which may be installed in another environment.

    python exponax_side.py SIZE BATCH STEPS TIME REPEATS FILE

Reads values at the points from stdin as text, one sample a line; writes those at the end to FILE, and prints what it
took as JSON. It needs jax, exponax and numpy, and nothing of this project.
"""

import json
import os
import statistics
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"


def rolled_out(size: int, steps: int, end: float):  # type: ignore[no-untyped-def]
    """From values of a batch to those at the end: jitted and mapped over the batch, the steps in Fourier space."""
    import exponax
    import jax
    import jax.numpy as jnp

    stepper = exponax.stepper.KuramotoSivashinskyConservative(
        1, 32 * jnp.pi, size, end / steps, dealiasing_fraction=1.0, order=4
    )

    def run(u):  # type: ignore[no-untyped-def]
        state = jnp.fft.rfft(u)
        state, _ = jax.lax.scan(lambda c, _: (stepper.step_fourier(c), None), state, None, length=steps)
        return jnp.fft.irfft(state, n=size)

    return jax.jit(jax.vmap(run))


def main() -> None:
    """Measure and print."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import exponax
    import numpy as np

    if hasattr(os, "sched_setaffinity"):  # the only way to one thread that jax heeds
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    size, batch, steps = map(int, sys.argv[1:4])
    end, repeats, file = float(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
    u = jax.numpy.asarray(np.loadtxt(sys.stdin).reshape(batch, 1, size))
    began = time.perf_counter()
    run = rolled_out(size, steps, end).lower(u).compile()
    compiled = time.perf_counter() - began
    spent = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        values = run(u).block_until_ready()
        spent.append(time.perf_counter() - began)
    np.savetxt(file, np.asarray(values).reshape(batch, size), fmt="%.17g")
    record = {"seconds": statistics.median(spent[1:]), "compilation": compiled}
    print(json.dumps({**record, "jax": jax.__version__, "exponax": exponax.__version__}))


if __name__ == "__main__":
    main()
