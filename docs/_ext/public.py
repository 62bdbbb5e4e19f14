"""Which public names a page of the reference holds."""

import inspect
from types import ModuleType

PACKAGES = ("deis", "deis.analysis", "deis.study", "deis.tuning", "deis.zoo", "deis.testing")


def defined_in(package: ModuleType, prefixes: list[str], excluded: str | None = None) -> list[str]:
    """Public classes and functions of ``package`` whose module starts with one of ``prefixes``, in that order.

    Within a module, functions come first.

    :param excluded: start of the names of modules that are left out.
    """
    found = []
    for name in package.__all__:
        value = getattr(package, name)
        if not inspect.isclass(value) and not inspect.isfunction(value):
            continue
        home = value.__module__
        rank = [place for place, prefix in enumerate(prefixes) if f"{home}.".startswith(f"{prefix}.")]
        if rank and not (excluded and home.startswith(excluded)):
            found.append((rank[0], home, inspect.isclass(value), inspect.getsourcelines(value)[1], name))
    return [name for *_, name in sorted(found)]
