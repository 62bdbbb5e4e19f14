"""The directive ``example``: code that runs when a page is built, with what it prints; its blocks share their names."""

import io
from contextlib import redirect_stdout
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Example(SphinxDirective):
    """``{example}``; blocks of plain ``python`` on the page are only shown, and define nothing here."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        code, printed = "\n".join(self.content), io.StringIO()
        namespace = self.env.current_document.setdefault("example", {"__name__": "page"})
        with redirect_stdout(printed):
            exec(compile(code, self.env.docname, "exec"), namespace)
        shown: list[nodes.Node] = [nodes.literal_block(code, code, language="python")]
        if printed.getvalue():
            text = printed.getvalue().rstrip()
            shown.append(nodes.literal_block(text, text, language="text", classes=["output"]))
        return shown


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("example", Example)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
