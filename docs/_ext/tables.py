"""Tables from rows of text that may hold inline markup."""

from collections.abc import Sequence

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


def table(directive: SphinxDirective, head: Sequence[str], rows: Sequence[Sequence[str]]) -> nodes.Element:
    """A table node; a row of one cell is a heading across the table."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    group += nodes.thead("", _row(directive, head, len(head)))
    group += nodes.tbody("", *(_row(directive, row, len(head)) for row in rows))
    return nodes.table("", group, classes=["colwidths-auto", "generated"])


def _row(directive: SphinxDirective, cells: Sequence[str], columns: int) -> nodes.row:
    row = nodes.row()
    for cell in cells:
        children, messages = directive.parse_inline(cell)
        span = {"morecols": columns - 1} if len(cells) < columns else {}
        row += nodes.entry("", nodes.paragraph("", "", *children), *messages, **span)
    return row
