from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import BadInput
from harness.register.page import DOC, cite, main, markdown
from harness.register.register import Force, load_register

ROW = """
[[requirement]]
id = "{id}"
source = ["spec"]
force = "{force}"
binds = "device"
text = "It works."
provoke = "Use it."
witness = "Look."
{more}
"""

HEAD = """
schema = 1
[groups]
NET-XX = "Synthetic"
[sources.spec]
document = "virtio"
title = "Somewhere"
sections = {{ "1.0" = "5.1", "1.1" = "5.1", "1.2" = "5.2" }}
{more}
"""


def _register(folder: Path, *rows: str, head: str = "") -> Path:
    path = folder / "requirements.toml"
    path.write_text(HEAD.format(more=head) + "".join(rows))
    return path


def _row(id_: str, force: str = "must", more: str = "") -> str:
    return ROW.format(id=id_, force=force, more=more)


def test_the_register_is_sound_and_has_every_group() -> None:
    register = load_register()
    assert {row.group for row in register.rows.values()} == set(register.groups)
    assert len(register.musts()) >= 20
    cited = {key for row in register.rows.values() for key in row.source}
    assert cited == set(register.sources)


def test_rows_say_honestly_what_no_document_asks_for() -> None:
    """A row may only claim a normative word if it cites a document that has such words."""
    register = load_register()
    normative = {"virtio", "vhost-user"}
    for row in register.rows.values():
        if row.force in (Force.MUST, Force.SHOULD, Force.MAY):
            assert normative & {register.sources[key].document for key in row.source}, row.id


def test_every_sentence_ends() -> None:
    for row in load_register().rows.values():
        for text in (row.text, row.provoke, row.witness, row.note, row.not_tested):
            assert not text or text.endswith((".", "...")), f"{row.id}: {text}"


def test_the_page_is_up_to_date() -> None:
    assert DOC.read_text() == markdown(load_register()), "run python -m harness.register.page"


def test_check_finds_what_does_not_match(tmp_path: Path) -> None:
    rows = (_row("NET-XX-01"), _row("NET-XX-02"), _row("NET-XX-03", more='not_tested = "No way."'))
    register = load_register(_register(tmp_path, *rows))
    problems = register.check({"test_a": ["NET-XX-01", "NET-XX-99"], "test_b": [], "test_c": ["NET-XX-03"]})
    assert [(problem.kind, problem.subject) for problem in problems] == [
        ("unknown id", "NET-XX-99"),
        ("no row", "test_b"),
        ("no test", "NET-XX-02"),
        ("contradiction", "NET-XX-03"),
    ]
    assert "test_a" in str(problems[0])


def test_check_is_content_where_all_matches(tmp_path: Path) -> None:
    rows = (_row("NET-XX-01"), _row("NET-XX-03", more='not_tested = "No way."'))
    register = load_register(_register(tmp_path, *rows))
    assert register.check({"test_a": ["NET-XX-01"]}) == []
    assert [row.id for row in register.musts()] == ["NET-XX-01"]


@pytest.mark.parametrize(
    ("rows", "head", "sentence"),
    [
        ([_row("NET-XX-01"), _row("NET-XX-01")], "", "NET-XX-01 is there twice"),
        ([_row("NET-XX-1")], "", "is no id"),
        ([_row("NET-YY-01")], "", "no title in"),
        ([_row("NET-XX-01", "shall")], "", "Invalid enum value 'shall'"),
        ([_row("NET-XX-01", more='colour = "red"')], "", "unknown field `colour`"),
        ([_row("NET-XX-01", more='since = "2.0"')], "", "no version of virtio"),
        ([_row("NET-XX-01").replace('"spec"', '"dream"')], "", "cites 'dream'"),
        ([_row("NET-XX-01").replace('"spec"', "")], "", "has no source"),
        ([_row("NET-XX-01").replace("It works.", "")], "", "has an empty text"),
        (['[[requirement]]\nid = "NET-XX-01"'], "", "missing required field"),
        (
            [_row("NET-XX-01")],
            '[sources.x]\ndocument = "d"\ntitle = "t"\nsections = { "9" = "1" }',
            "unknown versions",
        ),
        (["= broken"], "", "is not TOML"),
    ],
)
def test_a_broken_register_is_one_sentence(tmp_path: Path, rows: list[str], head: str, sentence: str) -> None:
    path = _register(tmp_path, *rows, head=head)
    with pytest.raises(BadInput, match=sentence) as caught:
        load_register(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_register_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"the register .* cannot be read"):
        load_register(tmp_path / "none.toml")


def test_sections_are_cited_per_version_from_the_first_that_says_it(tmp_path: Path) -> None:
    source = load_register(_register(tmp_path, _row("NET-XX-01"))).sources["spec"]
    assert cite(source) == "virtio 1.0 to 1.1: 5.1; 1.2: 5.2, “Somewhere”"
    assert cite(source, "1.2") == "virtio 1.2: 5.2, “Somewhere”"


def test_the_command_writes_and_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register, page = _register(tmp_path, _row("NET-XX-01")), tmp_path / "docs" / "page.md"
    arguments = ["--register", str(register), "-o", str(page)]
    assert main([*arguments, "--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert main(arguments) == 0
    assert "### NET-XX-01" in page.read_text()
    assert main([*arguments, "--check"]) == 0
    register.write_text("= broken")
    assert main(arguments) == 2
    assert "is not TOML" in capsys.readouterr().err
