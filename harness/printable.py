"""Text that others wrote, made fit for a terminal and a page."""

from __future__ import annotations

import codecs
import io
import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of text (Unicode, "Bidi_Control")."""


_PLAIN = {
    "\u2026": "...",
    "\u2260": "!=",
    "\u00d7": "x",
    "\u2013": "-",
    "\u2014": "-",
    "\u2192": "->",
    "\u2022": "*",
}
"""How signs look on a terminal that lacks them. All of `\u201c\u201d\u2018\u2019` are plain quotation marks."""
_PLAIN |= dict.fromkeys("\u201c\u201d", '"') | dict.fromkeys("\u2018\u2019", "'")


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """See codecs.register_error."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


codecs.register_error("plainly", _plainly)


def speak_plainly(*streams: object) -> None:
    """Let streams whose encoding lacks a sign, a Latin-1 terminal's, write another for it instead of failing."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plainly")


def all_printable(plain: Any) -> Any:
    """Plain data (dicts, lists, strings, numbers) with every string made printable. Raises RecursionError."""
    match plain:
        case str():
            return plain if plain.isprintable() else printable(plain)
        case list() | tuple():
            return [all_printable(each) for each in plain]
        case dict():
            return {all_printable(key): all_printable(value) for key, value in plain.items()}
    return plain


def is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: a path with a byte that is none cannot."""
    return not any("\ud800" <= each <= "\udfff" for each in text)


def printable(text: str) -> str:
    """The text with control characters, which VMM logs do contain, made visible, and lone surrogates too."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
