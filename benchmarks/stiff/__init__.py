"""Exponential integrators on stiff problems, beside what else there is; see ``python -m benchmarks.stiff --help``."""
