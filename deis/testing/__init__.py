"""Conformance suites: inherit one in a test module, give it your object, and pytest runs its tests on it."""

import pytest

for _name in ("blackbox", "common", "integrators", "odes", "schedules"):
    pytest.register_assert_rewrite(f"deis.testing.{_name}")

from deis.testing.blackbox import BlackBoxConformance  # noqa: E402
from deis.testing.common import Conformance  # noqa: E402
from deis.testing.integrators import IntegratorConformance  # noqa: E402
from deis.testing.measure import HostReads, fitted, measured_order, uneven_grid  # noqa: E402
from deis.testing.odes import SemilinearODEConformance  # noqa: E402
from deis.testing.schedules import NoiseScheduleConformance  # noqa: E402

__all__ = [
    "BlackBoxConformance",
    "Conformance",
    "HostReads",
    "IntegratorConformance",
    "NoiseScheduleConformance",
    "SemilinearODEConformance",
    "fitted",
    "measured_order",
    "uneven_grid",
]
