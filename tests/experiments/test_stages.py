"""The stages and keys of records have one text form, which is read back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from selfedit.experiments.runs.stages import Source, Stage, round_stage, single
from selfedit.search.keys import RecordKey

NAMES = st.from_regex(r"[a-z0-9][a-z0-9.+-]{0,12}", fullmatch=True).filter(
    lambda name: not name.endswith("-edits") and name != "base"
)
NUMBERS = st.integers(0, 300)
SOURCES = st.one_of(
    st.sampled_from([Source("base"), Source("in-context"), Source("passage")]),
    st.builds(Source, st.sampled_from(["validation", "policy"]), NUMBERS),
    st.builds(lambda name: Source("file", name=name), NAMES),
)


@given(SOURCES)
def test_a_source_is_read_back(source: Source) -> None:
    assert Source.parse(str(source)) == source


@given(SOURCES, NUMBERS, NUMBERS)
def test_a_stage_is_read_back(source: Source, number: int, place: int) -> None:
    stages = [round_stage(number), Stage("single", source), Stage("many", source, number)]
    stages += [Stage("sequential", source, number, place)]
    stages += [Stage("sequential", Source("base"), number)]
    for stage in stages if source != Source("base") else stages[:3]:
        assert Stage.parse(str(stage)) == stage
        assert Stage.parse(stage.edits) == stage


def test_the_text_forms_are_those_of_release_0_1() -> None:
    own, file = Source("validation"), Source("file", name="gpt-4.1")
    assert [str(round_stage(2)), str(single("validation", 1)), str(single("policy", 2))] == ["r2", "v1", "policy-r2"]
    assert [Stage("many", own, 8).edits, str(Stage("many", file, 8))] == ["many8-v0-edits", "many8-from-gpt-4.1"]
    assert str(Stage("sequential", file, 0, 3)) == "sequence0-from-gpt-4.1-3"
    assert str(Stage("sequential", Source("base"), 0)) == "sequence0-base"


def test_what_is_no_stage() -> None:
    assert [Stage.parse(text) for text in ("", "x", "r", "many", "many3", "sequence0-v0", "r1-x")] == [None] * 7


@given(NAMES, NAMES, st.one_of(NUMBERS, st.just("failed")))
def test_a_record_key_is_read_back(stage: str, task: str, chunk: int) -> None:
    for key in (RecordKey("trials", stage, chunk=chunk), RecordKey("edits", stage, task), RecordKey("before", stage)):
        assert RecordKey.parse(key.kind, str(key)) == key
    assert str(RecordKey("edits", "", task)) == task
