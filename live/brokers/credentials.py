"""Credentials of a broker: where they come from, and that they go nowhere else.

Looked for in this order, and the first place that has any of them must have all, so that a key of one account
never meets the secret of another:

    environment   TWINSTEP_<BROKER>_<NAME>, as TWINSTEP_ALPACA_KEY
    keyring       service "twinstep", user "<broker>.<name>", as alpaca.key
    file          credentials.toml beside the configuration, section [<broker>], of mode 0600 and one's own

Those for real money are others, and never stand in for the ones of paper: TWINSTEP_ALPACA_LIVE_KEY,
alpaca.live.key, [alpaca.live]. They are never in twinstep.toml, which is shown, copied and kept in
repositories.

What is returned shows its names and no values, in repr, pickle, logs and tracebacks (see `secrets`).
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from live.brokers.secrets import Secret, guard_output, remember
from live.brokers.timeouts import within
from simulator.errors import ConfigError

__all__ = ["FILE_NAME", "SERVICE", "Credentials", "load_credentials"]

SERVICE: Final = "twinstep"
"""Under which name the keyring has them."""

FILE_NAME: Final = "credentials.toml"

KEYRING_SECONDS: Final = 5.0
"""How long a keyring may think; one that is locked may wait for a person who is not there."""

_LARGEST: Final = 65_536
"""Bytes that the file may have."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


class Credentials(Mapping[str, str]):
    """Names and values; only looking up a name shows a value.

    Parameters
    ----------
    broker, source
        Whose they are, and where they come from: "environment", "keyring" or the file's path.
    values
        By name.
    """

    __slots__ = ("_values", "broker", "source")

    def __init__(self, broker: str, values: Mapping[str, str], *, source: str) -> None:
        self.broker = broker
        self.source = source
        self._values = {name: Secret(value) for name, value in values.items()}
        remember(self._values.values())
        guard_output()

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Credentials({self.broker!r}, names={sorted(self._values)}, source={self.source!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without values; another process loads its own."""
        return (_empty, (self.broker, self.source))

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: object) -> Credentials:
        return self


def load_credentials(
    broker: str,
    names: Sequence[str],
    *,
    optional: Sequence[str] = (),
    paper: bool = True,
    config: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Credentials:
    """Return the credentials of a broker.

    Parameters
    ----------
    broker
        As "alpaca": small letters, digits and "_".
    names
        All of which are needed, as ("key", "secret").
    optional
        Taken where the same source has them.
    paper
        False for those of real money, which have names of their own.
    config
        The configuration file; the file of credentials lies beside it. None: in the current folder.
    environment
        In place of the process's own.

    Raises
    ------
    ConfigError
        LIVE_CREDENTIALS where some are missing, naming them and where they may be put;
        LIVE_CREDENTIALS_MODE where others may read the file; LIVE_CREDENTIALS_FILE where it cannot be read;
        LIVE_CREDENTIALS_NAME for a broker or name that cannot be one. No message holds a value.
    """
    for name in (broker, *names, *optional):
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is no name of a broker or of its credentials: small letters, digits and '_'",
                code="LIVE_CREDENTIALS_NAME",
            )
    wanted = [*names, *optional]
    path = _file_beside(config)
    given = os.environ if environment is None else environment
    stage = () if paper else ("live",)
    sources: list[tuple[str, Callable[[], dict[str, str]]]] = [
        ("environment", lambda: _from_environment(given, (broker, *stage), wanted)),
        ("keyring", lambda: _from_keyring((broker, *stage), wanted)),
        (str(path), lambda: _from_file(path, (broker, *stage), wanted)),
    ]
    for source, read in sources:
        found = read()
        missing = [name for name in names if name not in found]
        if found and not missing:
            return Credentials(broker, found, source=source)
        if found and any(name in found for name in names):
            raise ConfigError(
                f"{source} has {', '.join(sorted(found))} of {broker} and lacks {', '.join(missing)}; all "
                "come from one place, so that a key never meets the secret of another account",
                code="LIVE_CREDENTIALS",
            )
    if not names:
        return Credentials(broker, {}, source="none")
    raise ConfigError(_advice(broker, names, paper, path), code="LIVE_CREDENTIALS")


def _advice(broker: str, names: Sequence[str], paper: bool, path: Path) -> str:
    stage = "" if paper else "live."
    variables = " and ".join(_variable((broker, *(() if paper else ("live",))), name) for name in names)
    section = broker if paper else f"{broker}.live"
    stored = " and ".join(f"`keyring set {SERVICE} {broker}.{stage}{name}`" for name in names)
    return (
        f"no credentials of {broker} for {'paper' if paper else 'real money'}: {', '.join(names)}. Set "
        f"{variables}, or store them with {stored}{_extra()}, or write them "
        f"under [{section}] into {path} and run chmod 600 on it"
    )


def _extra() -> str:
    """Return what brings the keyring, where it is not installed."""
    return "" if find_spec("keyring") else " (which pip install 'twinstep[keyring]' brings)"


def _variable(parts: Sequence[str], name: str) -> str:
    return "_".join(part.upper() for part in ("twinstep", *parts, name))


def _from_environment(
    given: Mapping[str, str], parts: Sequence[str], wanted: Sequence[str]
) -> dict[str, str]:
    found = {name: given.get(_variable(parts, name), "").strip() for name in wanted}
    return {name: value for name, value in found.items() if value}


def _from_keyring(parts: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Read the keyring; one that is missing, locked or hangs has nothing, and other places are looked at."""
    try:
        import keyring
    except ImportError:
        return {}

    def ask() -> dict[str, str | None]:
        return {name: keyring.get_password(SERVICE, ".".join((*parts, name))) for name in wanted}

    try:
        found = within(KEYRING_SECONDS, ask, what="the keyring")
    except Exception:  # backends raise whatever their desktops raise
        return {}
    return {name: value for name, value in found.items() if value}


def _file_beside(config: str | os.PathLike[str] | None) -> Path:
    if config is None:
        return Path.cwd() / FILE_NAME
    return Path(config).expanduser().absolute().parent / FILE_NAME


def _from_file(path: Path, parts: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Read the file of credentials; {} where there is none."""
    try:
        # not following: whoever may write the folder could else point it at a file of theirs
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); it must be a file of one's own, and no link",
            code="LIVE_CREDENTIALS_FILE",
        ) from None
    try:
        _check_private(path, os.fstat(handle))
        content = os.read(handle, _LARGEST + 1)
    finally:
        os.close(handle)
    if len(content) > _LARGEST:
        raise ConfigError(
            f"{path} is longer than {_LARGEST} bytes; it is no file of credentials",
            code="LIVE_CREDENTIALS_FILE",
        )
    try:
        section: Any = tomllib.loads(content.decode("utf-8-sig"))
    except ValueError:
        # what a parser says may quote the line, and the line may be a secret
        raise ConfigError(
            f'{path} is not TOML; write [{".".join(parts)}] and under it a line {wanted[0]} = "…" for each',
            code="LIVE_CREDENTIALS_FILE",
        ) from None
    for part in parts:
        section = section.get(part, {}) if isinstance(section, dict) else {}
    found = {name: section[name] for name in wanted if isinstance(section, dict) and name in section}
    wrong = [name for name, value in found.items() if not isinstance(value, str)]
    if wrong:
        raise ConfigError(
            f"{path}: {wrong[0]} under [{'.'.join(parts)}] is no text; write it in quotes",
            code="LIVE_CREDENTIALS_FILE",
        )
    return {name: value.strip() for name, value in found.items() if value.strip()}


def _check_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is no file", code="LIVE_CREDENTIALS_FILE")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}, so that others can read the credentials in it; run chmod 600 on "
            "it, and change them at the broker if anybody may have looked",
            code="LIVE_CREDENTIALS_MODE",
        )
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"{path} belongs to user {found.st_uid}, and this process runs as {os.geteuid()}; credentials "
            "are read from one's own file only",
            code="LIVE_CREDENTIALS_MODE",
        )


def _empty(broker: str, source: str) -> Credentials:
    return Credentials(broker, {}, source=source)
