from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import BadInput
from harness.record.results import (
    Event,
    PairRow,
    Verdict,
    bundle_folder,
    dumps,
    from_dict,
    load,
    loads,
    to_dict,
)
from tests.synthetic_runs import not_run

if TYPE_CHECKING:
    from tests.synthetic_runs import MakeResult, MakeRun

CASE = ["test", "file", "function", "parameters", "vmm"]
KEYS = [*CASE, "version", "requirements", "verdict", "seconds", "reason"]


def test_a_record_has_exactly_the_agreed_keys_in_order(make_result: MakeResult, make_run: MakeRun) -> None:
    plain = json.loads(dumps(make_run(make_result(parameters={}))))
    assert list(plain["results"][0]) == KEYS
    assert plain["schema"] == 2
    assert plain["results"][0]["parameters"] == {}


def test_everything_survives_the_file(make_result: MakeResult, make_run: MakeRun) -> None:
    full = make_result(
        verdict="fail",
        disagreement=True,
        details="assert {0, 1} == {0}",
        witnesses=(PairRow(0, True, True, 64), PairRow(1, False, True, None)),
        timeline=(
            Event(0.5, "guest", "VQ_PAIRS_SET 1", pairs=1),
            Event(0.6, "frames", "", pair=0, frames=64),
        ),
        rerun="pytest 't.py::test_a'",
        bundle="failures/a",
        seed=7,
    )
    run = make_run(full, not_run=(not_run("t.py::test_b", "alpha"),), host={"kernel": "6.1"}, deselected=2)
    assert loads(dumps(run), "memory") == run


def test_a_result_survives_the_wire_between_workers(make_result: MakeResult) -> None:
    result = make_result(witnesses=(PairRow(0, True, None, 3),))
    assert from_dict(json.loads(json.dumps(to_dict(result)))) == result
    with pytest.raises(BadInput, match=r"not a result: .*missing required field"):
        from_dict({"test": "t.py::test_a"})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not JSON"),
        (b'{"schema": 1, "resu', "is not JSON"),
        (b"\x7fELF\x02\x01", "is not JSON"),
        (b"[1, 2]", "no results file of this suite"),
        (b'{"tests": []}', "no results file of this suite"),
        (b'{"schema": 3, "results": []}', "has schema 3, this version reads 2 and 1"),
        (b'{"schema": 0, "results": []}', "has schema 0, this version reads 2 and 1"),
        (b'{"schema": 2, "results": [{"test": 3}]}', r"Expected `str`, got `int`"),
        (
            b'{"schema": 1, "results": [{"test": 3}]}',
            r"Expected `str`, got `int` - at `\$.results\[0\].test`",
        ),
        (b'{"schema": 1, "results": {}}', "Expected `array`"),
    ],
)
def test_what_is_no_results_file_gives_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=sentence) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_file_is_refused(make_result: MakeResult, make_run: MakeRun) -> None:
    content = dumps(make_run(make_result(), make_result(vmm="beta")))
    assert loads(content, "whole")
    for end in range(len(content.rstrip())):
        with pytest.raises(BadInput):
            loads(content[:end], "cut")


def test_a_missing_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"No such file.*--report"):
        load(tmp_path)


def test_unknown_keys_of_a_later_version_are_no_obstacle(make_result: MakeResult, make_run: MakeRun) -> None:
    plain = json.loads(dumps(make_run(make_result())))
    plain["results"][0]["weather"] = "fine"
    assert loads(json.dumps(plain).encode(), "later") == make_run(make_result())


OLD = {"version": "v1", "requirements": [], "verdict": "pass", "seconds": 0.1, "reason": "", "vmm": "alpha"}


@pytest.mark.parametrize(
    ("old", "parameters"),
    [
        ({"test": "a/t.py::T::test_a", "driver": None, "backend": None}, {}),
        (
            {"test": "a/t.py::T::test_a[probe-vhost-user-2]", "driver": "probe", "backend": "vhost-user"},
            {"driver": "probe", "backend": "vhost-user", "variant": "2"},
        ),
        ({"test": "a/t.py::T::test_a[probe]", "driver": "probe", "backend": None}, {"driver": "probe"}),
    ],
)
def test_what_earlier_versions_wrote_is_read(old: dict[str, str], parameters: dict[str, str]) -> None:
    gap = {"test": "t.py::test_b[probe-1]", "vmm": "alpha"}
    file = {"schema": 1, "results": [OLD | old], "not_run": [gap], "selected": 2}
    run = loads(json.dumps(file).encode(), "an old file")
    (result,) = run.results
    assert (result.test, result.file, result.function) == (old["test"], "a/t.py", "T::test_a")
    assert result.parameters == parameters
    assert str(run.not_run[0].origin) == "t.py::test_b"
    assert loads(dumps(run), "written anew") == run


def test_everything_ran_only_if_nothing_is_missing(make_result: MakeResult, make_run: MakeRun) -> None:
    one = make_result(verdict="skip")
    assert make_run(one).everything_ran
    assert not make_run(one, complete=False).everything_ran
    assert not make_run(one, selected=2).everything_ran
    assert not make_run(one, deselected=1).everything_ran
    assert not make_run(one, not_run=(not_run("t.py::test_b", "alpha"),)).everything_ran


def test_verdicts_somebody_has_to_look_at() -> None:
    assert {verdict for verdict in Verdict if verdict.is_bad} == {Verdict.FAIL, Verdict.XPASS, Verdict.ERROR}


def test_the_bundle_is_found_from_either_file(
    make_result: MakeResult, make_run: MakeRun, tmp_path: Path
) -> None:
    bundle = tmp_path / "runs" / "stamp" / "failures" / "a"
    bundle.mkdir(parents=True)
    result = make_result(verdict="fail", bundle="failures/a")
    run = make_run(result, folder="runs/stamp")
    assert bundle_folder(tmp_path / "results.json", run, result) == bundle
    assert bundle_folder(tmp_path / "runs" / "stamp" / "results.json", run, result) == bundle
    assert bundle_folder(tmp_path / "elsewhere" / "results.json", run, result) is None
    assert bundle_folder(tmp_path / "results.json", run, make_result()) is None
