"""A report as one HTML file: a template, its styles and its scripts, joined so that nothing else is loaded.

The template escapes everything. It gets `style`, `script` and `script_hash`, with which its content security
policy allows this one script and no other.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from simulator.results.export import output_error

__all__ = ["render_page", "write_page"]

_HOME: Final = "simulator.results"
_STYLE: Final = "report.css"
_CHARTS: Final = "charts.js"


def render_page(
    package: str, template: str, *, scripts: Sequence[str], styles: Sequence[str] = (), **values: Any
) -> str:
    """Return the page.

    Parameters
    ----------
    package
        Where its template, scripts and further styles lie, as "simulator.results".
    template
        File name of the template.
    scripts, styles
        File names, in order; they follow what all reports share.
    values
        What the template shows; a name that it uses and that is not given is an error.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = "".join([_text(_HOME, _CHARTS), *(_text(package, name) for name in scripts)])
    return environment.from_string(_text(package, template)).render(
        style="".join([_text(_HOME, _STYLE), *(_text(package, name) for name in styles)]),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **values,
    )


def write_page(text: str, path: Path) -> Path:
    """Write a page, making its folder, and return the path; CONFIG_OUTPUT where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise output_error(path, error) from error
    return path


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
