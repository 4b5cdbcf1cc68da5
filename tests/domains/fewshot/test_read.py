"""Tasks from ids, files, folders and rows; what is wrong is said in one line with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.made_up_words import RULES, write_words
from selfedit.domains.fewshot.problem import demonstrations_of
from selfedit.domains.fewshot.read import arc_ids, read_source
from selfedit.errors import UserError
from selfedit.types import Demonstration

WORDS = Path(__file__).parents[3] / "docs" / "examples" / "words"
PAIR = {"input": [[0, 1]], "output": [[1, 0]]}
TASK = {"train": [PAIR, {"input": [[2]], "output": [[3]]}], "test": [{"input": [[0, 2]], "output": [[2, 0]]}]}


def write(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value))
    return str(path)


def rows(path: Path, *values: Any) -> str:
    path.write_text("\n".join(value if isinstance(value, str) else json.dumps(value) for value in values))
    return str(path)


def test_an_arc_id() -> None:
    (task,) = read_source("a85d4709")
    kind, pairs = demonstrations_of(task)
    assert (task.id, kind.name) == ("a85d4709", "grid")
    assert pairs[0] == Demonstration(((0, 0, 5), (0, 5, 0), (5, 0, 0)), ((3, 3, 3), (4, 4, 4), (2, 2, 2)))
    assert [probe.answers for probe in task.probes] == [("333\n222\n444",)]
    assert len(arc_ids("arc1", "train")) == 400
    assert len(arc_ids("arc2", "eval")) == 120
    assert read_source(f"arc2:{arc_ids('arc2', 'eval')[0]}")


def test_the_made_up_words_are_what_their_script_writes(tmp_path: Path) -> None:
    write_words(tmp_path)
    for split, rules in RULES.items():
        tasks = {task.id: task for task in read_source(str(WORDS / split))}
        assert tasks.keys() == rules.keys()
        assert list(tasks.values()) == read_source(str(tmp_path / split))
        for name, rule in rules.items():
            kind, pairs = demonstrations_of(tasks[name])
            assert kind.name == "text"
            assert all(pair.output == rule(str(pair.input)) for pair in pairs)
            assert all(probe.answers == (rule(str(probe.input)),) for probe in tasks[name].probes)


def test_a_file_a_folder_and_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "one.json", TASK)
    (task,) = read_source(path)
    assert task.id == "one"
    assert task.probes[0].answers == ("20",)
    write(tmp_path / "two.json", {**TASK, "test": [{"input": [[0]]}]})
    assert [(t.id, t.probes[0].answers) for t in read_source(str(tmp_path))] == [("one", ("20",)), ("two", ())]
    listed = write(tmp_path / "lists.json", {"easy": ["a85d4709", "25ff71a9"], "hard": ["25ff71a9"]})
    assert [t.id for t in read_source(f"{listed}#easy")] == ["a85d4709", "25ff71a9"]


def test_kaggles_pair(tmp_path: Path) -> None:
    challenges = write(
        tmp_path / "arc-agi_training_challenges.json",
        {"t1": {"train": [PAIR], "test": [{"input": [[5]]}, {"input": [[6]]}]}},
    )
    assert [probe.answers for probe in read_source(challenges)[0].probes] == [(), ()]
    write(tmp_path / "arc-agi_training_solutions.json", {"t1": [[[7]], [[8]]]})
    (task,) = read_source(f"{challenges}#t1")
    assert [probe.answers for probe in task.probes] == [("7",), ("8",)]


def test_rows_of_text(tmp_path: Path) -> None:
    path = rows(
        tmp_path / "dates.jsonl",
        {"input": "3 May 2021", "output": "2021-05-03"},
        {"input": "9 June 1999", "output": "1999-06-09"},
        {"input": "1 July 2001"},
        {"input": "2 July 2001", "answer": "2001-07-02"},
    )
    (task,) = read_source(path)
    kind, pairs = demonstrations_of(task)
    assert (task.id, kind.name, len(pairs)) == ("dates", "text", 2)
    assert [probe.answers for probe in task.probes] == [(), ("2001-07-02",)]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({**TASK, "train": []}, r"t\.json has no demonstrations"),
        ({**TASK, "test": []}, r"t\.json has nothing to predict"),
        ({"train": 3}, r"t\.json has no|t\.json is no task|needs 'train' and 'test'"),
        ({**TASK, "train": [{"input": [[0, 1], [0]], "output": [[1]]}]}, r"demonstration 1, input: the grid is ragged"),
        ({**TASK, "train": [{"input": [[0] * 31], "output": [[1]]}]}, r"the grid is 1 x 31; 30 x 30 is the largest"),
        ({**TASK, "train": [{"input": [[0, 12]], "output": [[1]]}]}, r"the grid holds 12; colours are 0 to 9"),
        ({**TASK, "train": [{"input": [[0, True]], "output": [[1]]}]}, r"the grid holds True"),
        ({**TASK, "train": [{"input": [[0]]}]}, r"demonstration 1, output: it is missing"),
        ({**TASK, "test": [{"input": []}]}, r"test 1, input: a grid is a list of rows"),
        ({"a": ["x"], "b": []}, r"holds lists of ids; name one of them: .*t\.json#a"),
    ],
)
def test_bad_grids(tmp_path: Path, value: Any, said: str) -> None:
    path = write(tmp_path / "t.json", value)
    with pytest.raises(UserError, match=said):
        read_source(path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([{"input": "a", "output": "b"}], "nothing to predict"),
        ([{"input": "a"}], "has no demonstrations"),
        ([{"input": "a", "output": "b"}, {"output": "b"}], "line 2: there is no 'input'"),
        ([{"input": "a", "output": "b"}, "{"], "line 2: not JSON"),
        ([{"input": "a", "output": "b"}, {"input": "c", "outputs": "d"}], "line 2: unknown key 'outputs'"),
        ([{"input": "a", "output": "b\n\nc"}, {"input": "c"}], "line 1, output: the text has an empty line"),
        ([{"input": "a", "output": "b"}, {"input": " "}], "line 2, input: it is not a text, or empty"),
    ],
)
def test_bad_rows(tmp_path: Path, lines: list[Any], said: str) -> None:
    path = rows(tmp_path / "t.jsonl", *lines)
    with pytest.raises(UserError, match=said):
        read_source(path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a85d4708", "no ARC task 'a85d4708'. Did you mean 'a85d4709'"),
        ("arc3:a85d4709", "Unknown dataset 'arc3'.*Did you mean 'arc"),
        ("none.json", "There is no file none.json"),
    ],
)
def test_bad_names(source: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_source(source)
