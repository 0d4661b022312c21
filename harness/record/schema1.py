"""Reading what earlier versions of the suite wrote (schema 1): there, what a test is was told by its id alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA = 1


def upgraded(run: Mapping[str, Any]) -> dict[str, Any]:
    """The same run in schema 2, as plain data. What is not as it should be is left to whoever reads it then."""
    return {
        **run,
        "schema": 2,
        **{key: [_case(entry) for entry in run[key]] for key in ("results", "not_run") if _is_list(run, key)},
    }


def _is_list(run: Mapping[str, Any], key: str) -> bool:
    return isinstance(run.get(key), list)


def _case(entry: Any) -> Any:
    """A result, or a test that was not run, with what its id says of it.

    Driver and backend are known by name. The other parameters cannot be told apart, for hyphens are in them too.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("test"), str):
        return entry
    head, _, tail = entry["test"].partition("[")
    file, _, function = head.partition("::")
    known = {name: entry[name] for name in ("driver", "backend") if isinstance(entry.get(name), str)}
    rest = tail.removesuffix("]").removeprefix("-".join(known.values())).removeprefix("-")
    parameters = known | ({"variant": rest} if rest else {})
    return {**entry, "file": file, "function": function or file, "parameters": parameters}
