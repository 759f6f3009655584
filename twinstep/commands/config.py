"""`twinstep config`: write, show and check the configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from simulator.errors import ConfigError
from twinstep.config import FILE_NAME, Settings, find_file, load_settings
from twinstep.console import emit, emit_json, table
from twinstep.options import ConfigFile, Force, Json, Set
from twinstep.schema import schema
from twinstep.template import template, toml_value

__all__ = ["app"]

EXAMPLES: Final = (
    "Examples:\n\n\b\n  twinstep config init\n  twinstep config check\n  twinstep config show --changed"
)

app = typer.Typer(
    no_args_is_help=True,
    help="Write, show and check the configuration file.",
    epilog=EXAMPLES,
    rich_markup_mode="rich",
)


@app.command("init")
def init(
    file: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")] = Path(FILE_NAME),
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a commented file with every key and its default."""
    if file.exists() and not force:
        raise ConfigError(f"{file} exists; --force replaces it", code="CLI_EXISTS")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(template(), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}", code="CLI_WRITE") from error
    if as_json:
        emit_json({"file": file})
    else:
        emit(f"wrote {file}")


@app.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(help="File to check.", metavar="FILE", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Read the file and say what is wrong with it, or which keys differ from the defaults."""
    path = find_file(file)
    if path is None:
        raise ConfigError(f"no {FILE_NAME} here; `twinstep config init` writes one", code="CONFIG_FILE")
    changed = _changed(load_settings(path))
    if as_json:
        emit_json({"file": path, "ok": True, "changed": changed})
        return
    emit(f"{path}: good, {len(changed)} of its values differ from the defaults")
    for dotted, value in changed.items():
        emit(f"  {dotted} = {toml_value(value)}")


@app.command("show")
def show(
    config: ConfigFile = None,
    changes: Set = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the defaults.")] = False,
    as_json: Json = False,
) -> None:
    """Print every value in force and where it came from."""
    settings = load_settings(config, changes=changes or ())
    kept = _changed(settings)
    keys = [key for section in schema().values() for key in section.keys.values()]
    shown = [key for key in keys if key.path in kept or not changed]
    if as_json:
        values = {
            key.path: {"value": settings.value(key), "origin": settings.origins.get(key.path, "default")}
            for key in shown
        }
        emit_json({"file": settings.path, "values": values})
        return
    if not shown:
        emit(f"{settings.path or 'without a file'}: nothing differs from the defaults")
        return
    table(
        ["key", "value", "from"],
        [
            [key.path, toml_value(settings.value(key)), settings.origins.get(key.path, "default")]
            for key in shown
        ],
    )


def _changed(settings: Settings) -> dict[str, object]:
    keys = (key for section in schema().values() for key in section.keys.values())
    return {key.path: settings.value(key) for key in keys if settings.value(key) != key.default}
