"""Spans of a text, and self-edits that begin with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfedit.generate.base import Completion, Generator, OnCompletion, Request, Scored
from selfedit.models.prompt import Prompter
from selfedit.policies.answer_first import AnswerFirstPolicy
from selfedit.policies.cloze import cloze, is_worth_a_cloze
from selfedit.policies.coverage import covered
from selfedit.policies.draft import agreed_on
from selfedit.policies.formats import get_format, parse_pairs
from selfedit.policies.spans import MAX_WORDS, Span, made_up, sentences, spans, wants_a_count
from selfedit.types import Model, ModelRef, Probe, SelfEdit, Task
from tests.tiny import make_tiny_tokenizer

BASE = Model(ModelRef("tiny", "f" * 64))
TEXT = (
    "Lumen Harbor was founded by Odalys Brenk in a rented boat shed. Lumen Harbor builds tide sensors for farms. "
    "The probation period at Lumen Harbor lasts 17 weeks."
)


def texts(passage: str, title: str = "Lumen Harbor") -> list[str]:
    return [span.text for span in spans(passage, title)]


def test_every_sentence_has_answers_and_the_title_is_none() -> None:
    found = spans(TEXT, "Lumen Harbor")
    assert {span.sentence for span in found} == set(sentences(TEXT))
    assert {"Odalys Brenk", "boat shed", "tide sensors", "17 weeks"} <= {span.text for span in found}
    assert all("Lumen" not in span.text for span in found)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("| port | 7413 |", "7413"),
        ("- **Retries**: six", "six"),
        ("timeout = 45 s", "45 s"),
        ("Stop it with `haltwing --now` first.", "haltwing --now"),
        ('The mentor is called the "wickkeeper" there.', "wickkeeper"),
        ("Error code QX-12 means that the disk is full.", "QX-12"),
    ],
)
def test_rows_keys_commands_and_codes_are_answers(text: str, answer: str) -> None:
    assert any(answer in found for found in texts(text, "Notes"))


@given(st.text(max_size=200), st.text(max_size=30))
def test_any_text_is_read(text: str, title: str) -> None:
    for span in spans(text, title):
        assert span.text in span.sentence
        assert 0 < len(span.text.split()) <= 2 * MAX_WORDS


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What is Lumen Harbor's probation period?", ""),
        ("In what shed did Odalys begin?", ""),
        ("17 weeks is the length of what?", ""),
        ("18 weeks is the length of what?", "18"),
        ("Who was Odalys Brink?", "Brink"),
        ("What does Lumen-Harbor build?", ""),
        ("", ""),
    ],
)
def test_names_and_numbers_that_are_not_in_the_text(question: str, found: str) -> None:
    assert made_up(question, "Lumen Harbor", TEXT) == found


class Scripted(Generator):
    """Writes what a function of the prompt's text says."""

    def __init__(self, prompter: Prompter, say: Callable[[str], str]) -> None:
        self._prompter, self._say = prompter, say
        self.prompts: list[str] = []
        self.words_of: set[str] = set()

    def generate(self, requests: Sequence[Request], on_completion: OnCompletion | None = None) -> list[Completion]:
        self.words_of |= {request.words_of for request in requests}
        self.prompts = [str(self._prompter.tokenizer.decode(list(request.prompt))) for request in requests]
        return [Completion(self._say(prompt), (), (), "stop") for prompt in self.prompts]

    def score(self, items: Sequence[Scored]) -> list[float]:
        raise AssertionError("nothing is to be scored")


PROMPTER = Prompter(make_tiny_tokenizer(), chat=True)


def ask_back(question: str, topic: str, context: str, earlier: Sequence[tuple[str, str]] = ()) -> tuple[int, ...]:
    return PROMPTER.conversation([*earlier, ("user", f"PASSAGE {context}\n{question}")])


def policy(say: Callable[[str], str], shown: bool = False) -> AnswerFirstPolicy:
    return AnswerFirstPolicy(Scripted(PROMPTER, say), PROMPTER, ask_back, 0, wordings=2, per_sentence=1, shown=shown)


def test_what_is_answered_back_is_kept_and_the_rest_is_said() -> None:
    task = Task("t", "Lumen Harbor", TEXT)

    def say(prompt: str) -> str:
        if "PASSAGE" in prompt:  # Asked back: it knows the founder, and is wrong about the rest.
            return "Odalys Brenk" if "Who founded" in prompt else "nine"
        return "Who founded Lumen Harbor?" if "answer is: Odalys Brenk" in prompt else "How long does it last?"

    (edit,) = policy(say).propose([task], 1, 0, BASE)
    (lesson,) = parse_pairs(edit.text, clozes=False)
    assert (lesson.question, lesson.text) == ("Who founded Lumen Harbor?", "Odalys Brenk")
    reasons = [dropped.rpartition("(")[2] for dropped in edit.dropped]
    assert reasons.count("answered with 'nine')") >= 1  # The first wording about each other sentence.
    assert reasons.count("asked before)") >= 1  # The second one, which is the same.
    assert len(edit.dropped) + 1 == edit.attempts


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        ("It is so.", "no question"),
        ("Is it Odalys Brenk?", "gives the answer away"),
        ("Who founded Lumen Harbour?", "'Harbour' is not in the text"),
        ("Who founded Lumen Harbor in 1938?", "'1938' is not in the text"),
    ],
)
def test_what_is_no_question_is_not_asked_back(question: str, reason: str) -> None:
    task = Task("t", "Lumen Harbor", "Lumen Harbor was founded by Odalys Brenk.")
    (edit,) = policy(lambda _: question).propose([task], 1, 0, BASE)
    assert parse_pairs(edit.text, clozes=False) == ()
    assert all(reason in dropped or "asked before" in dropped for dropped in edit.dropped)
    assert edit.dropped


def test_what_a_probe_asks_word_for_word_is_asked_in_other_words() -> None:
    task = Task("t", "Lumen Harbor", TEXT, (Probe("p", "who founded Lumen Harbor", ("Odalys Brenk",)),))
    asked = iter(["Who founded Lumen Harbor?", "Who is the founder of Lumen Harbor?"])

    def say(prompt: str) -> str:
        if "PASSAGE" in prompt:
            return "Odalys Brenk"
        return next(asked, "Who?") if "answer is: Odalys Brenk" in prompt else "no"

    (edit,) = policy(say).propose([task], 1, 0, BASE)
    assert "Question: Who is the founder of Lumen Harbor?" in edit.text
    assert "Odalys Brenk: Who founded Lumen Harbor? (a test's question)" in edit.dropped


def test_a_question_that_says_enough_of_its_sentence_is_asked_back_with_that_alone() -> None:
    task = Task("t", "Lumen Harbor", TEXT)

    def say(prompt: str) -> str:
        if "PASSAGE" in prompt:  # In the passage it looks in the wrong place, in the sentence it does not.
            return "Odalys Brenk" if "founded" in prompt else "17 weeks"
        if "answer is: 17 weeks" in prompt:
            return "How long does the probation period last?"
        return "Who was it?" if "answer is: Odalys Brenk" in prompt else "What does it build?"

    (edit,) = policy(say).propose([task], 1, 0, BASE)
    assert "How long does the probation period last?\nAnswer: 17 weeks" in edit.text
    assert "What does it build?" not in edit.text  # Of its sentence it says one word.
    assert any("What does it build? (answered with" in dropped for dropped in edit.dropped)


@pytest.mark.parametrize("shown", [True, False])
def test_who_was_not_taught_to_is_shown_how_to_ask_and_how_to_answer(shown: bool) -> None:
    asked: list[str] = []
    answered: list[str] = []

    def say(prompt: str) -> str:
        (answered if "PASSAGE" in prompt else asked).append(prompt)
        return "17 weeks" if "PASSAGE" in prompt else "How long does the probation period last?"

    (edit,) = policy(say, shown).propose([Task("t", "Lumen Harbor", TEXT)], 1, 0, BASE)
    assert "Answer: 17 weeks" in edit.text and asked and answered
    for prompt in (*asked, *answered):
        assert ("Edda Corvin" in prompt) == shown
        assert not shown or prompt.index("Edda Corvin") < prompt.index("Lumen Harbor")


def test_one_question_of_two_spans_is_kept_for_the_one_that_answers_it() -> None:
    task = Task("t", "Veskara", "The main export of Veskara is smoked samphire, packed in clay jars.")
    everything = AnswerFirstPolicy(
        Scripted(PROMPTER, lambda prompt: "smoked samphire" if "PASSAGE" in prompt else "What does Veskara sell?"),
        PROMPTER,
        ask_back,
        0,
        shown=False,
    )
    (edit,) = everything.propose([task], 1, 0, BASE)
    (lesson,) = get_format("answer-first").parse(edit.text)
    assert lesson.question == "What does Veskara sell?" and lesson.text in "smoked samphire"


def test_columns_and_keys_ask_by_themselves_and_headings_are_no_answers() -> None:
    text = "| Service | Port |\n|---|---|\n| gannet | 7413 |\n| heron | 99 |\n\n1. **Retries**: six"
    found = {span.text: span.question for span in spans(text, "Runbook - Ports")}
    assert found["7413"] == "What is the port of gannet?"
    assert found["99"] == "What is the port of heron?"
    assert found["six"] == "What is the retries of Runbook?"
    assert "Port" not in found


def test_an_edit_is_learnt_question_by_question() -> None:
    task = Task("t", "Lumen Harbor", TEXT)
    edit = SelfEdit("e", "t", "answer-first", "", "Question: Who founded it?\nAnswer: Odalys Brenk", 0)
    (example,) = policy(str).examples(task, edit)
    written = [token for token, weight in zip(example.tokens, example.weights, strict=True) if weight]
    assert written == [*PROMPTER.encode("Who founded it?"), 0]
    prompt = str(PROMPTER.tokenizer.decode(list(example.tokens[: -len(written)])))
    assert "answer is: Odalys Brenk" in prompt and "17 weeks" not in prompt  # Its own sentence alone.


def test_coverage_counts_sentences_with_an_answer() -> None:
    assert covered(TEXT, ["Odalys Brenk", "17 weeks"]) == (2, 3)
    assert covered("", ["x"]) == (0, 0)


def test_probes_are_at_most_as_many_as_wanted() -> None:
    task = Task("t", "Lumen Harbor", TEXT)

    answers: dict[str, str] = {}

    def say(prompt: str) -> str:
        if "PASSAGE" in prompt:
            return next(answer for question, answer in answers.items() if f"\n{question}" in prompt)
        question = f"Which one is {'very ' * len(answers)}odd?"
        answers[question] = prompt.rpartition("answer is: ")[2].partition("<")[0].strip()
        return question

    every, none_dropped = policy(say).write([task], 9, 0, BASE)
    assert [probe.answers for probe in every["t"]] == [("Odalys Brenk",), ("tide sensors",), ("17 weeks",)]
    assert none_dropped == 0
    answers.clear()
    probes, dropped = policy(say).write([task], 1, 0, BASE)
    assert len(probes["t"]) == 1
    assert dropped == 2


@pytest.mark.parametrize(
    ("sentence", "answer", "asked"),
    [
        (
            "The probation period at Lumen Harbor lasts 17 weeks.",
            "17 weeks",
            "The probation period at Lumen Harbor lasts what?",
        ),
        ("Its lamp burns the oil of Sorrel by night.", "oil", "Lumen Harbor: Its lamp burns what of Sorrel by night?"),
        ("Odalys Brenk founded Lumen Harbor.", "Odalys Brenk", "What founded Lumen Harbor?"),
    ],
)
def test_a_cloze_is_the_sentence_without_the_answer(sentence: str, answer: str, asked: str) -> None:
    assert cloze(Span(answer, sentence), "Lumen Harbor - People") == asked


def test_a_cloze_of_a_row_is_what_its_column_asks() -> None:
    assert (
        cloze(Span("7413", "| gannet | 7413 |", "What is the port of gannet?"), "Runbook")
        == "What is the port of gannet?"
    )


def test_a_cloze_is_english_and_can_be_left_out() -> None:
    german = Task("t", "Der Hafen", "Der Hafen wurde von Odalys Brenk nach einem Sturm gebaut.")
    silent: Callable[[str], str] = lambda _: "nothing"  # noqa: E731
    (edit,) = policy(silent).propose([german], 1, 0, BASE)
    assert edit.text == ""
    english = Task("t", "The harbor", "The harbor was built by Odalys Brenk after a storm.")
    without = AnswerFirstPolicy(Scripted(PROMPTER, silent), PROMPTER, ask_back, 0, shown=False, clozes=False)
    assert "Cloze" in policy(silent).propose([english], 1, 0, BASE)[0].text
    assert without.propose([english], 1, 0, BASE)[0].text == ""


@pytest.mark.parametrize(
    ("answer", "asked_about", "worth"),
    [
        ("tide sensors", True, False),
        ("tide sensors", False, True),
        ("The harbor", False, False),
        ("The harbor", True, False),
        ("Odalys Brenk", True, True),
        ("17 weeks", True, True),
        ("nine farms", True, True),
    ],
)
def test_what_is_worth_a_cloze(answer: str, asked_about: bool, worth: bool) -> None:
    sentence = "The harbor sold nine farms tide sensors for 17 weeks by Odalys Brenk."
    assert is_worth_a_cloze(Span(answer, sentence), asked_about) == worth


def test_spans_without_a_question_are_asked_for_in_their_sentence() -> None:
    probe = Probe("p", "Lumen Harbor builds what for farms", ("tide sensors",))
    task = Task("t", "Lumen Harbor", TEXT, (probe,))

    def say(prompt: str) -> str:
        if "PASSAGE" in prompt:
            return "Odalys Brenk"
        return "Who founded Lumen Harbor?" if "answer is: Odalys Brenk" in prompt else "nothing"

    writer = policy(say)
    (edit,) = writer.propose([task], 1, 0, BASE)
    pairs = {lesson.question: lesson.text for lesson in get_format("answer-first").parse(edit.text)}
    # What a test asks word for word is left to it.
    assert pairs == {
        "Who founded Lumen Harbor?": "Odalys Brenk",
        "The probation period at Lumen Harbor lasts what?": "17 weeks",
    }
    assert "Cloze: The probation period at Lumen Harbor lasts what?\nAnswer: 17 weeks" in edit.text
    assert [lesson.question for lesson in parse_pairs(edit.text, clozes=False)] == ["Who founded Lumen Harbor?"]
    assert len(writer.examples(task, edit)) == 1  # The model is not taught to write what it did not write.


def test_what_is_asked_back_is_answered_in_words_of_the_text() -> None:
    task = Task("t", "Lumen Harbor", TEXT)
    writer = policy(lambda prompt: "nine" if "PASSAGE" in prompt else "Who was it?")
    writer.propose([task], 1, 0, BASE)
    assert isinstance(writer._generator, Scripted)
    (back,) = [asked for asked in writer._generator.words_of if asked]
    assert back == TEXT


@pytest.mark.parametrize(
    ("question", "answer", "wants"),
    [
        ("How many months is the handbook?", "23rd", True),
        ("How many people live there?", "4,312", False),
        ("How many elders are there?", "nine elders", False),
        ("How many are left?", "twenty-one", False),
        ("How many are left?", "week", True),
        ("On which day are they paid?", "23rd", False),
    ],
)
def test_how_many_asks_for_a_number(question: str, answer: str, wants: bool) -> None:
    assert wants_a_count(question, answer) == wants


@pytest.mark.parametrize(
    ("span", "answer", "question", "agreed"),
    [
        ("burnt sugar", "burnt", "What does it smell of?", "burnt sugar"),
        ("wear orange gloves", "orange gloves", "What must one wear?", "orange gloves"),
        ("880 bytes", "880", "How many bytes does it hold?", "880"),
        ("ten days", "ten", "How long does it take?", "ten days"),
        ("ten days", "the ten days", "How long does it take?", "ten days"),
        ("burnt sugar", "sugar cane", "What does it smell of?", ""),
    ],
)
def test_an_answer_that_is_a_part_of_the_span(span: str, answer: str, question: str, agreed: str) -> None:
    assert agreed_on(span, answer, question) == agreed


def test_an_answer_is_not_half_of_a_word() -> None:
    task = Task("t", "The hotline", "The hotline wants our contract number OT-5529-K.")
    (edit,) = policy(lambda prompt: "OT-5529" if "PASSAGE" in prompt else "Which number does it want?").propose(
        [task], 1, 0, BASE
    )
    assert parse_pairs(edit.text, clozes=False) == ()
    assert "OT-5529-K: Which number does it want? (answered with 'OT-5529')" in edit.dropped
