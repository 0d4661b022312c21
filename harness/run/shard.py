"""A share of the suite: `--shard 2/5` runs every fifth test, so that five machines share the work.

A test stays together with itself on the other VMMs: what is compared ran on one machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from harness.errors import BadInput
from harness.record.results import Shard

Item = TypeVar("Item")
_SHARD = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


def parse_shard(text: str) -> tuple[int, int]:
    """(2, 5) for "2/5". Raises BadInput."""
    match = _SHARD.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        raise BadInput(f"--shard {text}: give which of how many, from 1 on, such as 2/5")
    return int(match[1]), int(match[2])


def deal(
    items: Sequence[Item], name: Callable[[Item], tuple[str, str]], number: int, of: int
) -> tuple[list[Item], Shard]:
    """The items of one shard in their order, and what is to be remembered of the whole.

    `name` gives an item's (test, VMM), or (test, "") if it is about none. All shards together have each item
    once, provided that all are dealt from the same items: the digest tells.
    """
    names = [name(item) for item in items]
    turns = {test: turn % of + 1 for turn, test in enumerate(dict.fromkeys(test for test, _ in names))}
    mine = [item for item, (test, _) in zip(items, names, strict=True) if turns[test] == number]
    judged = sorted(f"{vmm} {test}" for test, vmm in names if vmm)
    digest = hashlib.sha256("\n".join(judged).encode()).hexdigest()[:16]
    return mine, Shard(number, of, len(judged), digest)
