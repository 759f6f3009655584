"""How the pages of this folder become a site: `make site`, which writes it to `out/site`.

The pages are plain Markdown that reads as well without a generator. What only the site has is added while a
page is read: its home is the README, the navigation is made of the tables of `index.md`, and a table of
public names becomes their full documentation. The words of those tables are also what the search knows a page
by: a page whose row has every word that was asked for comes first (`_static/search_scorer.js`).
Nothing on a page comes from another machine, the search included.
"""

from __future__ import annotations

import inspect
import json
import re
from enum import Enum
from functools import cache
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent

project = "Twinstep"
author = "The Twinstep developers"
project_copyright = author
version = release = version_of("twinstep")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_static"]

myst_heading_anchors = 4  # links to headings, as every viewer of Markdown makes them
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # RiskLimits(), and not its 35 values
python_maximum_signature_line_length = 90
napoleon_google_docstring = False
napoleon_use_ivar = True
suppress_warnings = ["ref.python"]  # fields of one name in several classes: a docstring means its own
default_role = "literal"  # a word in single backquotes is code, as in Markdown

html_theme = "furo"
html_title = f"Twinstep {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_search_scorer = str(HERE / "_static" / "search_scorer.js")
html_favicon = "../twinstep/dashboard/static/icon.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"

_GENERATED: Final = re.compile(r"<!-- generated: make docs -->.*?<!-- end -->", re.DOTALL)
_SECTION: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_ABOVE: Final = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)\)")
_PAGE: Final = re.compile(r"\]\(([a-z0-9_]+)\.md\)")
_NAMED: Final = re.compile(r"\[([^\]]+)\]\(([a-z0-9_]+)\.md\)([^\[]*)")
_ROW: Final = re.compile(r"^\| (.+?) \| (.*\.md\).*) \|$", re.MULTILINE)


def home(index: str, readme: str) -> str:
    """Return the first page of the site: the README, then the index with a navigation made of its tables.

    Parameters
    ----------
    index, readme
        The text of `docs/index.md` and of the README, whose links are relative to the folder above.
    """
    readme = readme.replace("](docs/", "](").replace('src="docs/', 'src="')
    readme = re.sub(r"\]\((?!https?:|#|[a-z0-9_]+\.md|pictures/)([^)]+)\)", r"](../\1)", readme)
    index = index.replace("](../README.md)", "](#twinstep)").replace("\n## ", "\n### ")
    return f"{readme}\n\n#{index}\n\n{navigation(index.replace(chr(10) + '### ', chr(10) + '## '))}"


def navigation(index: str) -> str:
    """Return a hidden table of contents per section of the index; a page belongs where it is first named."""
    parts = _SECTION.split(index)
    seen: set[str] = set()
    trees = []
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        pages = [name for name in dict.fromkeys(_PAGE.findall(text)) if name not in seen]
        seen.update(pages)
        if pages:
            listed = "\n".join(pages)
            trees.append(f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```")
    return "\n\n".join(trees)


def words(index: str) -> dict[str, list[str]]:
    """Return the words by which the index names each page; the first of a row has those of its left cell."""
    found: dict[str, set[str]] = {}
    for wanted, named in _ROW.findall(index):
        for number, (label, page, after) in enumerate(_NAMED.findall(named)):
            text = f"{'' if number else wanted} {label} {after}"
            found.setdefault(page, set()).update(re.findall(r"\w+", text.lower()))
    return {page: sorted(said) for page, said in found.items()}


def names(table: str) -> str:
    """Return directives that document classes and functions of a generated part; values stay in a table."""
    kept = re.sub(r"^\| `[\w.]+` \| (class|function) \|.*\n", "", table, flags=re.MULTILINE)
    parts = []
    for section in re.split(r"^(?=## )", kept, flags=re.MULTILINE)[1:]:
        package = section.splitlines()[0].removeprefix("## ")
        listed = re.findall(rf"^\| `{package}\.(\w+)` \| (class|function) \|", table, re.MULTILINE)
        if "` | value |" not in section:
            section = section.partition("| name |")[0]
        parts += [section.removesuffix("<!-- end -->"), *(_directive(package, *one) for one in listed)]
    return "\n\n".join(parts)


def signature(
    app: Any, what: str, name: str, obj: object, options: object, given: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Return the signature to show: none where nobody calls the class but through its `from_...`."""
    built = isinstance(obj, type) and (
        issubclass(obj, Enum) or any(one.startswith("from_") for one in dir(obj))
    )
    return (None, None) if built else (given, returned)


def _directive(package: str, name: str, kind: str) -> str:
    what = "autofunction:: " if kind == "function" else "autoclass:: "
    members = "" if kind == "function" else "\n   :members:"
    offered = getattr(import_module(package), name)
    home = (
        f"{package}.{name}" if inspect.ismodule(offered) else package
    )  # a module of that name was loaded first
    return f"### {name}\n\n```{{eval-rst}}\n.. {what}{home}.{name}{members}\n```"


def _read(app: Any, page: str, source: list[str]) -> None:
    if page == "index":
        readme = HERE.parent / "README.md"
        app.env.note_dependency(str(readme))
        source[0] = home(source[0], readme.read_text(encoding="utf-8"))
    elif page.startswith("api_"):
        source[0] = _GENERATED.sub(lambda found: names(found[0]), source[0])
    if said := _words().get(page):
        source[0] += f"\n\n```{{eval-rst}}\n.. meta::\n   :keywords: {', '.join(said)}\n```\n"
    source[0] = _ABOVE.sub(_without_folder, source[0])


@cache
def _words() -> dict[str, list[str]]:
    return words((HERE / "index.md").read_text(encoding="utf-8"))


def _search_page(app: Any, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    if page == "search":
        app.add_js_file(None, body=f"const PAGE_WORDS = {json.dumps(_words())};")


def _without_folder(link: re.Match[str]) -> str:
    # a file above comes along as a download, a folder cannot
    return link[1] if (HERE / link[2]).is_dir() else link[0]


def _documented(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    # in "CONFIG_..." the generator would see a link
    lines[:] = [re.sub(r"(?<=[A-Z])_(?=\.\.\.|…)", r"\\_", line) for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Register what happens while a page is read."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _documented)
    app.connect("autodoc-process-signature", signature)
    app.connect("html-page-context", _search_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
