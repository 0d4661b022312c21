"""Text that others wrote, made fit for a terminal and a page."""

from __future__ import annotations

from typing import Any

_CONTROL = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    if chr(code) not in "\n\t"
}
"""Control characters, and those that turn the direction of text (Unicode, "Bidi_Control")."""


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
    text = text.replace("\r\n", "\n").translate(_CONTROL)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
