"""Orders that many problems have in common."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CLASSICAL: Final[Mapping[str, float]] = MappingProxyType(
    {
        "etd1": 1,
        "etd2rk": 2,
        "etd3rk": 3,
        "etdrk4": 4,
        "krogstad": 4,
        "strehmel-weiner": 4,
        "hochbruck-ostermann": 4,
        "exp-adams2": 2,
        "exp-adams3": 3,
        "exp-adams4": 4,
    }
)
"""What exponential methods show where the solution is smooth in space, so that a stiff L reduces no order."""
