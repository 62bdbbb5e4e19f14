"""Docstrings are plain text to be read in an editor; this makes reStructuredText of the few things that are not.

``arXiv 2204.13902`` becomes a link, and the signs | and * of formulas stay what they are. Signatures and bases are
freed of what belongs to the inside of the package.
"""

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

_LITERAL = re.compile(r"(``.*?``)")
_CALLABLE = re.compile(r"<(?:function|bound method|class) '?(?:\w+\.)*(\w+)\b[^>]*>+")
_NUMBER = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def rewrite(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Change the lines of one docstring in place."""
    lines[:] = _rewritten(lines)


def _rewritten(lines: list[str]) -> Iterator[str]:
    example = False
    for line in lines:
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        yield line if example else "".join(map(_escaped, _LITERAL.split(line)))


def _escaped(text: str) -> str:
    if text.startswith("``"):
        return text
    return _NUMBER.sub(r"`arXiv \1 <https://arxiv.org/abs/\1>`__", re.sub(r"([|*])", r"\\\1", text))


def plain_defaults(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Signatures in which functions are written by name, and what a factory makes, NOTHING to attrs, as an ellipsis."""
    return signature and _CALLABLE.sub(r"\1", signature.replace("NOTHING", "...")), returns


def public_bases(app: Sphinx, name: str, obj: object, options: object, bases: list[type]) -> None:
    """Name the public ancestor in place of a private base."""
    bases[:] = [next(cls for cls in getattr(base, "__mro__", [base]) if cls.__name__[0] != "_") for base in bases]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", rewrite)
    app.connect("autodoc-process-signature", plain_defaults)
    app.connect("autodoc-process-bases", public_bases)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
