"""Rules are read strictly: what is unknown, wrong, or can never be met is one line, with the nearest name."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from selfedit.errors import UserError
from selfedit.rules import Rules, read_rules
from tests.rules.garbled import garbled

WHOLE = b"""\
# What the team agreed on.
approval: flagged
approvers: [ana, ben]
updates_per_hour: 3
updates_per_day: 10
minutes_between: 10
documents_per_day: 100
tokens_per_day: 50000
folders: [docs]
margins:
  general: 0.02
drift:
  declined: 0.05
guard: true
"""


def test_a_whole_file(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    rules = read_rules(WHOLE, "rules.yaml", tmp_path)
    assert (rules.approval, rules.approvers, rules.updates_per_hour, rules.folders) == (
        "flagged",
        ("ana", "ben"),
        3,
        ("docs",),
    )
    assert rules.margins.given == {"general": 0.02} and rules.drift.declined == 0.05
    assert read_rules(b"", "rules.yaml") == Rules()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("aproval: always", "unknown key 'aproval'. Did you mean 'approval'?"),
        ("margins: {genral: 0.1}", "unknown key 'margins.genral'. Did you mean 'general'?"),
        ("approval: sometimes", "'approval' is 'sometimes': "),
        ("updates_per_hour: three", "'updates_per_hour' is 'three': "),
        ("updates_per_hour: '3'", "'updates_per_hour' is '3': "),
        ("updates_per_hour: true", "'updates_per_hour' is True: "),
        ("updates_per_hour: 0", "'updates_per_hour' is 0: "),
        ("updates_per_day: 1e999", "'updates_per_day' is "),
        ("minutes_between: .nan", "'minutes_between' is nan: "),
        ("minutes_between: 99999999", "'minutes_between' is 99999999: "),
        ("approval: always\napprovers: []", "approvers is empty, so that nobody may approve"),
        ("approvers: [ana]", "approvers are named, but approval is 'never'"),
        ('approval: always\napprovers: ["a\\nb"]', "'approvers' is "),
        ("folders: []", "folders is empty, so that nothing may be learnt"),
        ("folders: [nowhere]", "'folders' names 'nowhere', and there is no such folder in "),
        ('folders: ["\\0"]', "folders has a name that no folder can have"),
        ("updates_per_hour: 5\nupdates_per_day: 4", "updates_per_hour (5) is more than updates_per_day (4)"),
        ("updates_per_hour: 4\nminutes_between: 20", "4 updates a hour do not go with minutes_between 20: at most 3"),
        ("guard: 1", "'guard' is 1: "),
        ("- approval", "does not hold 'key: value' lines"),
        ("1: 2", "does not hold 'key: value' lines"),
        ("approval: always\napproval: never", "is not YAML: 'approval' is there twice"),
        ("a: &x [1]\nb: *x", "is not YAML: references (*name) are not allowed"),
        ("approval: !!python/object/apply:os.system [ls]", "is not YAML: could not determine a constructor"),
        ("approval: [", "is not YAML: "),
        ("minutes_between: 2026-99-99", "is not YAML: month must be in 1..12"),
        ("a: " + "[" * 3000, "is nested too deeply"),
        ("a: " + "x" * 70_000, "more than 65536 are no settings of a person"),
        ("margins: 3", "'margins' is 3: "),
        ("margins: {general: -1}", "'margins.general' is -1: "),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_rules(text.encode(), "rules.yaml", tmp_path)
    line = str(caught.value)
    assert said in line and line.startswith("rules.yaml") and "\n" not in line and len(line) < 400


def test_no_text_makes_it_fall_over(tmp_path: Path) -> None:
    """The short form of `python -m benchmarks.rules_fuzz`."""
    draw = random.Random(0)
    for _ in range(300):
        try:
            read_rules(garbled(WHOLE, draw), "rules.yaml", tmp_path)
        except UserError as error:
            assert "\n" not in str(error) and str(error).isprintable()


def test_folders_hold_with_links_and_dots(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for folder in ("docs/in", "docs-other", "secret"):
        (home / folder).mkdir(parents=True)
    (home / "docs" / "link").symlink_to(home / "secret")
    (home / "loop").symlink_to(home / "loop")
    rules = read_rules(b"folders: [docs]", "rules.yaml", home)
    for path in ("docs/a.md", "docs/in/a.md", str(home / "docs" / "a.md"), "secret/../docs/a.md"):
        assert rules.allows(path, home)
    for path in (
        "docs-other/a.md",
        "docs/../secret/a.md",
        "docs/link/a.md",
        "/etc/passwd",
        "../x",
        "a.md",
        "-",
        "",
        "loop/a.md",
        "a\0b",
    ):
        assert not rules.allows(path, home)
    assert Rules().allows("/etc/passwd", home)
