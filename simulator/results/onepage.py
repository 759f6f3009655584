"""A report as one HTML file: a template, its styles and its scripts, joined so that nothing else is loaded.

Every report extends `page.html.j2` (head, title, sections, footer) and is drawn by one style sheet, on screen
in light and dark, on paper in light. Templates escape everything. The content security policy allows this one
script, by its hash, and nothing else; without charts it is the button for the theme, and little more.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulator.results.export import output_error

if TYPE_CHECKING:
    from simulator.results.pdf import Paper

__all__ = ["render_page", "write_page"]

_HOME: Final = "simulator.results"
_STYLE: Final = "report.css"
_PAGE: Final = "page.js"
_CHARTS: Final = "charts.js"
_SHARED: Final = ("page.html.j2", "parts.html.j2")


def render_page(
    package: str,
    template: str,
    *,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    **values: Any,
) -> str:
    """Return the page.

    Parameters
    ----------
    package
        Where its template, scripts and further styles lie, as "simulator.results".
    template
        File name of the template.
    scripts, styles
        File names, in order; they follow what all reports share. A script "charts.js" is the shared one.
    filters
        Functions that the template may use as filters.
    values
        What the template shows; a name that it uses and that is not given is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: _text(_HOME if name in _SHARED else package, name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters or {})
    homes = [(_HOME if name == _CHARTS else package, name) for name in scripts]
    script = "".join(_text(*one) for one in [(_HOME, _PAGE), *homes])
    return environment.get_template(template).render(
        style="".join([_text(_HOME, _STYLE), *(_text(package, name) for name in styles)]),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    )


def write_page(text: str, path: Path, *, paper: Paper = "a4") -> Path:
    """Write a page, making its folder, and return the path: HTML, or PDF where the name ends so.

    Raises `ConfigError` CONFIG_OUTPUT where it cannot be written; for PDF also what `write_pdf` raises.
    """
    if path.suffix.lower() == ".pdf":
        from simulator.results.pdf import write_pdf

        return write_pdf(text, path, paper=paper)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise output_error(path, error) from error
    return path


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
