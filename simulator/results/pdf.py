"""A report as PDF: a Chromium that is installed prints the HTML file; nothing is downloaded.

The page is ours, so a browser with its own text layout, its print style sheet and its fonts makes the better
PDF than a second renderer would, and the two cannot differ. Chromium runs without a window, with a profile of
its own that is deleted, and finds no host. Its sandbox stays on, except for root, for whom Chromium does not
start with it.

The HTML and the profile lie in a folder beside the target while it runs: a browser from a snap or flatpak
sees the folders of its user and no other temporary ones.

>>> from simulator.results.pdf import find_chromium, write_pdf   # doctest: +SKIP
>>> write_pdf(html, Path("out/report.pdf"), paper="letter")   # doctest: +SKIP
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, cast, get_args

from simulator.errors import ConfigError, UnknownNameError, did_you_mean
from simulator.results.export import output_error

__all__ = ["CHROMIUM_VARIABLE", "Paper", "check_report_path", "find_chromium", "paper_of", "write_pdf"]

Paper = Literal["a4", "letter"]

CHROMIUM_VARIABLE: Final = "TWINSTEP_CHROMIUM"
"""Names the browser that prints, where it is not found by itself or another one is meant."""

TIMEOUT_SECONDS: Final = 60.0
"""Longest time for one report; a large one takes about three seconds."""

_NAMES: Final = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
    "msedge",
)  # fmt: skip
_MAC: Final = tuple(
    f"/Applications/{name}.app/Contents/MacOS/{name}"
    for name in ("Google Chrome", "Chromium", "Microsoft Edge")
)
_WINDOWS: Final = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
_FLAGS: Final = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--no-pdf-header-footer",
    "--print-to-pdf-no-header",  # the same to versions before 2023
)
_LEAST_BYTES: Final = 1_000
_MOST_SAID: Final = 65_536
"""Bytes of what a browser says that are looked through for the reason of a failure."""
_END_SECONDS: Final = 5.0
"""Longest wait for a browser that was killed; only one that hangs in a call of the system needs it."""
_REMEDY: Final = (
    f"Install Chromium, Google Chrome or Microsoft Edge, or set {CHROMIUM_VARIABLE} to the program; or write "
    "HTML (a name that ends in .html), open it in any browser and print it to a file"
)


def write_pdf(html: str, path: Path, *, paper: str = "a4", timeout: float = TIMEOUT_SECONDS) -> Path:
    """Print a report of one HTML file to a PDF, making its folder, and return the path.

    Parameters
    ----------
    html
        The page; its print style sheet decides how it looks. It needs a `</head>`.
    paper
        "a4" or "letter".
    timeout
        Seconds after which the browser is ended.

    Raises
    ------
    ConfigError
        CONFIG_NO_CHROMIUM where no browser is installed, CONFIG_PDF where it fails or takes too long,
        CONFIG_OUTPUT where the file cannot be written. A file that was there before stays as it was.
    UnknownNameError
        NAME_PAPER.
    """
    size = {"a4": "A4", "letter": "letter"}[paper_of(paper)]
    browser = find_chromium()
    page = html.replace("</head>", f"<style>@page {{ size: {size} }}</style>\n</head>", 1)
    with _workshop(path) as folder:
        try:
            (folder / "report.html").write_text(page, encoding="utf-8")
        except OSError as error:
            raise output_error(path, error) from error
        _print(browser, folder, path, timeout)
        try:
            (folder / "report.pdf").replace(path)
        except OSError as error:
            raise output_error(path, error) from error
    return path


def check_report_path(path: Path | str | None) -> None:
    """Refuse a PDF that nothing here can print, before the run that it is to report.

    Raises `ConfigError` CONFIG_NO_CHROMIUM; other paths, and None, pass.
    """
    if path is not None and Path(path).suffix.lower() == ".pdf":
        find_chromium()


def paper_of(name: str) -> Paper:
    """Return the paper of a name; raises `UnknownNameError` NAME_PAPER."""
    known = get_args(Paper)
    if name not in known:
        raise UnknownNameError(
            f"there is no paper {name!r} for reports.{did_you_mean(name, known)}",
            code="NAME_PAPER",
        )
    return cast("Paper", name)


def find_chromium() -> str:
    """Return the browser that prints; raises `ConfigError` CONFIG_NO_CHROMIUM where there is none."""
    named = os.environ.get(CHROMIUM_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise ConfigError(
                f"{CHROMIUM_VARIABLE} is {named!r}, and no program answers to that. {_REMEDY}",
                code="CONFIG_NO_CHROMIUM",
            )
        return found
    for one in (*_NAMES, *_usual_places()):
        found = shutil.which(one)
        if found is not None:
            return found
    raise ConfigError(
        f"a PDF is printed by Chromium, and none is installed here. {_REMEDY}", code="CONFIG_NO_CHROMIUM"
    )


def _usual_places() -> tuple[str, ...]:
    """Return where programs lie that no search path leads to."""
    if sys.platform == "darwin":
        return _MAC
    roots = [os.environ.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")]
    return tuple(f"{root}/{one}" for root in roots if root for one in _WINDOWS)


@contextlib.contextmanager
def _workshop(path: Path) -> Iterator[Path]:
    """Give a folder beside the target, and delete it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        folder = Path(tempfile.mkdtemp(prefix="twinstep-pdf-", dir=path.parent)).resolve()
    except OSError as error:
        raise output_error(path, error) from error
    try:
        yield folder
    finally:
        # the last processes of a browser that was ended may still write into its profile
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)


def _print(browser: str, folder: Path, path: Path, timeout: float) -> None:
    command = [
        browser, *_FLAGS, f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={folder / 'report.pdf'}",
        *(["--no-sandbox"] if _is_root() else []), (folder / "report.html").as_uri(),
    ]  # fmt: skip
    words = folder / "words"
    try:
        # what it says goes to a file: a pipe stays open as long as any of its helpers lives
        with words.open("wb") as output:
            # a session of its own: the browser's many processes end together
            running = subprocess.Popen(  # noqa: S603 - a browser that was found or named by the user
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise ConfigError(
            f"{browser} cannot be started for {path}: {error.strerror or error}. {_REMEDY}", code="CONFIG_PDF"
        ) from error
    try:
        running.wait(timeout)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(
            f"{browser} had not printed {path} after {timeout:g} seconds, and was ended. Is the machine very "
            "busy? Try again, or write HTML and print it from a browser",
            code="CONFIG_PDF",
        ) from error
    finally:
        _end(running)
    printed = folder / "report.pdf"
    if running.returncode == 0 and _is_pdf(printed):
        return
    said = _said(words)
    reason = f"exit code {running.returncode}"
    if "sandbox" in said.lower():
        reason = "its sandbox cannot start here (no user namespaces, as in some containers)"
    last = _last_words(said)
    raise ConfigError(
        f"{browser} did not print {path}: {reason}{f'; it said: {last}' if last else ''}. {_REMEDY}",
        code="CONFIG_PDF",
    )


def _end(running: subprocess.Popen[bytes]) -> None:
    """End the browser with the helpers of its session, if any is left."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            running.kill()
        else:
            os.killpg(running.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        running.wait(_END_SECONDS)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _is_pdf(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size < _LEAST_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(5) == b"%PDF-"


def _said(words: Path) -> str:
    """Return the end of what a browser said."""
    try:
        with words.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _MOST_SAID))
            return file.read(_MOST_SAID).decode("utf-8", "replace")
    except OSError:
        return ""


def _last_words(said: str) -> str:
    """Return the last line that is no complaint about a desktop bus, which says nothing here."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and "dbus" not in line]
    return lines[-1][:200] if lines else ""
