"""The directive ``public-names``: the reference of what a package lists in ``__all__`` and given modules define.

A new public name thus comes up in the reference by itself, on the page of the modules where it lives.
"""

import abc
import inspect
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from public import PACKAGES, defined_in
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective


def entry(package: ModuleType, name: str) -> list[str]:
    """The lines of reStructuredText that document one name."""
    value = getattr(package, name)
    if not inspect.isclass(value):
        return [f".. autofunction:: {name}"]
    kind = "autoexception" if issubclass(value, BaseException) else "autoclass"
    bases = ["   :show-inheritance:"] if set(value.__bases__) - {object, abc.ABC} else []
    return [f".. {kind}:: {name}", "   :members:", *bases]


class PublicNames(SphinxDirective):
    """``{public-names} package module module ...``, with ``:except:`` the start of modules that another page has."""

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar = {"except": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        package, *prefixes = self.arguments[0].split()
        module = import_module(package)
        names = defined_in(module, prefixes, self.options.get("except"))
        if not names:
            raise self.error(f"{package} lists nothing of {', '.join(prefixes)} in __all__")
        lines = ["````{eval-rst}", f".. currentmodule:: {package}", ""]
        for name in names:
            lines += [*entry(module, name), ""]
        return self.parse_text_to_nodes("\n".join([*lines, "````"]))


def public_target(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Where a reference names the module that defines something public, the entry of the public name.

    Members of the class at hand that have no entry of their own are named without a link.
    """
    if node.get("refdomain") != "py":
        return None
    if node["reftype"] in ("attr", "meth") and _has_member(node):
        return content
    if not node["reftarget"].startswith("deis."):
        return None
    domain, name = env.get_domain("py"), node["reftarget"].rpartition(".")[2]
    for package in PACKAGES:
        target = f"{package}.{name}"
        found = domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], target, node, content)
        if found is not None:
            return found
    return None


def _has_member(node: pending_xref) -> bool:
    """Whether the class in whose docstring the reference stands has what it names."""
    owner, name = node.get("py:class"), node["reftarget"]
    cls = getattr(import_module(node["py:module"]), owner, None) if owner and node.get("py:module") else None
    return inspect.isclass(cls) and (
        hasattr(cls, name) or any(name in vars(c).get("__annotations__", {}) for c in cls.mro())
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("public-names", PublicNames)
    app.connect("missing-reference", public_target)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
