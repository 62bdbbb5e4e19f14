"""Pages of reports: templates that are filled, with a style and a script that need nothing else."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import jinja2
from markupsafe import Markup


def page(template: str, helpers: dict[str, Callable[..., object]], **values: Any) -> str:
    """The template of that name, which extends ``page.html.jinja``, with values that are escaped.

    :param helpers: functions that the template calls.
    """
    loader = jinja2.PackageLoader("deis.study")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(helpers)
    style, script = (loader.get_source(environment, name)[0] for name in ("report.css", "report.js"))
    return environment.get_template(template).render(
        values,
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
