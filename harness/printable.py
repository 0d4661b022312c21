"""Text that others wrote, made fit for a terminal and a page."""

from __future__ import annotations

_CONTROL = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    if chr(code) not in "\n\t"
}
"""Control characters, and those that turn the direction of text (Unicode, "Bidi_Control")."""


def printable(text: str) -> str:
    """The text with control characters, which VMM logs do contain, made visible, and lone surrogates too."""
    text = text.replace("\r\n", "\n").translate(_CONTROL)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
