"""The Kuramoto-Sivashinsky equation by exponax, which may be installed in another environment.

    python exponax_side.py SIZE STEPS TIME START END

Reads values at the points from the file START, one sample a line, and compiles; says so by a line of JSON. Then it
solves once for each line on stdin, answering by a line each, and in the end writes the values to the file END. It needs
jax, exponax and numpy, and nothing of this project.
"""

import json
import os
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
    """Solve on demand."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import exponax
    import numpy as np

    if hasattr(os, "sched_setaffinity"):  # the only way to one thread that jax heeds
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    size, steps, end, start_file, end_file = *map(int, sys.argv[1:3]), float(sys.argv[3]), *sys.argv[4:]
    u = jax.numpy.asarray(np.loadtxt(start_file, ndmin=2)[:, None])
    began = time.perf_counter()
    run = rolled_out(size, steps, end).lower(u).compile()
    compiled = time.perf_counter() - began
    print(json.dumps({"compilation": compiled, "jax": jax.__version__, "exponax": exponax.__version__}), flush=True)
    for _ in sys.stdin:
        values = run(u).block_until_ready()
        print("done", flush=True)
    np.savetxt(end_file, np.asarray(values)[:, 0], fmt="%.17g")


if __name__ == "__main__":
    main()
