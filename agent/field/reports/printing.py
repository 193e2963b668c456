"""Fill the templates: HTML that prints, with all it needs inside. Edge: it reads the templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from agent.language import language, say

if TYPE_CHECKING:
    from collections.abc import Iterator


def pages(name: str, **shown: Any) -> Iterator[str]:
    """Yield the text of a report, part by part, so that a long one never stands in memory as a whole.

    name  of its template; every text that is shown is escaped there
    """
    made = Environment(
        loader=PackageLoader("agent.field.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = made.get_template("print.css").render()
    made.globals |= {"say": say, "style": Markup(style), "lang": language()}  # noqa: S704 - our own file
    return made.get_template(f"{name}.html").generate(**shown)
