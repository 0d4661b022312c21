"""Which test an item is, as data: written once, from what pytest crossed it with, and read by everybody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.record.results import NO_WRITER, Case

SIMPLE = (str, int, float)
"""Types whose values are their own words; True and False among them."""
_case = pytest.StashKey[Case | None]()


def case_of(item: pytest.Item) -> Case | None:
    """Which test on which VMM; None for a test that has none."""
    if _case not in item.stash:
        item.stash[_case] = _read(item)
    return item.stash[_case]


def name_of(item: pytest.Item) -> tuple[str, str]:
    """A test's name without its VMM, and the VMM; none is told by an empty one."""
    case = case_of(item)
    return (case.test, case.vmm) if case else (item.nodeid, "")


def _read(item: pytest.Item) -> Case | None:
    if not isinstance(item, pytest.Function) or "vmm" not in getattr(item, "callspec", _NoCall).params:
        return None
    words: list[str] = []
    parameters: dict[str, str] = {}
    for names, word in _groups(item):
        if "vmm" not in names:
            words.append(word)
            parameters |= _by_name(item, names, word)
        elif "writer" in names:
            writer = str(item.callspec.params["writer"] or NO_WRITER)
            words.append(f"from-{writer}")
            parameters["writer"] = writer
    file = item.getparent(pytest.Module)
    assert file is not None
    classes = [node.name for node in item.listchain() if isinstance(node, pytest.Class)]
    function = "::".join([*classes, item.originalname])
    variant = f"[{'-'.join(words)}]" if words else ""
    return Case(
        test=f"{file.nodeid}::{function}{variant}",
        file=file.nodeid,
        function=function,
        parameters=parameters,
        vmm=str(item.callspec.params["vmm"]),
    )


class _NoCall:
    params: dict[str, object] = {}


def _groups(item: pytest.Function) -> Iterator[tuple[tuple[str, ...], str]]:
    """The names that each call of `parametrize` gave values to, and the word for these values in the item's id."""
    together = {
        names[0]: names for mark in item.iter_markers("parametrize") if (names := _names(mark.args[0]))
    }
    together["vmm"] = ("vmm", "writer") if "writer" in item.callspec.params else ("vmm",)
    inner = {name for names in together.values() for name in names[1:]}
    groups = [together.get(name, (name,)) for name in item.callspec.params if name not in inner]
    # pytest publishes the words joined by hyphens only, and hyphens are in the words too
    return zip(groups, item.callspec._idlist, strict=True)


def _names(told: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for name in told.split(",")) if isinstance(told, str) else tuple(told)


def _by_name(item: pytest.Function, names: tuple[str, ...], word: str) -> dict[str, str]:
    """One name has the word. Several share it, and have each their own value where that is a word."""
    if len(names) == 1:
        return {names[0]: word}
    values = {name: item.callspec.params[name] for name in names}
    return {name: str(value) if isinstance(value, SIMPLE) else word for name, value in values.items()}
