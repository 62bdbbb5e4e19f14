"""The command line: ``deis list``, ``sample``, ``solve``, ``compare``, ``encode``, ``likelihood``, ``study`` ..."""

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line; without the packages of the extra ``study``, say how to get them."""
    missing = [name for name in ("cattrs", "click", "jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        sys.exit(f"error: the command line needs {' and '.join(missing)}; pip install 'torch-deis[study]'")
    from deis.cli.root import cli

    cli()
