"""What every form that does something sends, and what it is told: shared by all pages.

A form is JSON with a key, by which it happens once, and nothing that it does not know: an unknown field is an
error, and no wish that is passed over in silence. Lengths are limited here, what words mean is judged by
whoever acts. JSON can hold half of a character, which no file takes: it is replaced, because a kill must not
fail on its words.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from simulator.errors import ConfigError

__all__ = ["Form", "Key", "Name", "Reason", "Said", "Text", "Words", "confirmed", "said"]

SHOWN: Final = 40
"""Letters of what was typed that an answer repeats."""

Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
Name = Annotated[str, Field(max_length=80)]
Text = Annotated[str, Field(max_length=2000)]
Reason = Annotated[str, Field(min_length=1, max_length=2000)]
Words = Annotated[str, Field(max_length=2000, pattern=r"\S")]
"""Something that is not empty, and not white space alone."""


class Form(BaseModel):
    """A form: the key by which it happens once."""

    model_config = ConfigDict(extra="forbid")

    key: Key

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            _whole(name): _whole(value) if isinstance(value, str) else value for name, value in given.items()
        }


class Said(BaseModel):
    """What became of a form."""

    done: bool
    says: str
    code: str = ""


def _whole(text: str) -> str:
    """Return text with every half of a character replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def said(answer: dict[str, Any]) -> Said:
    """Return the answer of `Acting.once`."""
    return Said(**answer)


def confirmed(typed: str, wanted: str) -> None:
    """Do nothing where the word that confirms was typed, in any case.

    Raises
    ------
    ConfigError
        CLI_CONFIRM for anything else; nothing was done.
    """
    if not wanted.strip() or typed.strip().casefold() != wanted.strip().casefold():
        raise ConfigError(
            f"type {wanted} to confirm; {typed.strip()[:SHOWN]!r} was typed, and nothing was done",
            code="CLI_CONFIRM",
        )
