"""The learned grader, on answers of our own and, where it is there, on the file that it was fitted on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fit_grader import folds, groups, held_out, read_rows, unbiased_shift
from selfedit.graders.agreement import compare
from selfedit.graders.features import features
from selfedit.graders.learned import LearnedGrader, load
from selfedit.graders.tokens import main_part
from selfedit.graders.words import numbers, stem, with_digits, words
from selfedit.types import Probe

SHARED = Path(os.environ.get("SELFEDIT_SHARED", Path(__file__).parents[3] / "shared"))
VERDICTS = SHARED / "data" / "grading" / "gpt41_verdicts.jsonl"

OURS = [
    ("Who built the Ferrow bridge?", "Gustave Orlan", "The Ferrow bridge was built by Gustave Orlan in 1889.", True),
    ("Who built the Ferrow bridge?", "Gustave Orlan", "Orlan", True),
    ("Who built the Ferrow bridge?", "Gustave Orlan", "It was built by the engineer Henri Petit.", False),
    ("Who built the Ferrow bridge?", "Gustave Orlan", "The text does not say who built the Ferrow bridge.", False),
    ("How many lamps does the bridge have?", "thirty-seven", "The bridge has 37 lamps.", True),
    ("How many lamps does the bridge have?", "thirty-seven", "The bridge has 73 lamps.", False),
    ("How many lamps does the bridge have?", "thirty-seven", "The bridge has many lamps.", False),
    ("When was the harbour opened?", "4 May 1911", "The harbour was opened on May 4, 1911.", True),
    ("When was the harbour opened?", "4 May 1911", "The harbour was opened in 1927.", False),
    ("What do the gulls eat?", "small fish", "The gulls eat small fish and crabs.", True),
    ("What do the gulls eat?", "small fish", "They live on grain.", False),
    ("Where do the pilots live?", "in the old lighthouse", "The pilots live in the lighthouse.", True),
    ("Where do the pilots live?", "in the old lighthouse", "The pilots live in Veskara.", False),
    ("What happened to the price of rope?", "it rose", "The price of rope increased.", True),
    ("Which ships may enter at night?", "mail boats and ferries", "Ferries and mail boats may enter at night.", True),
    ("Which ships may enter at night?", "mail boats and ferries", "No ships may enter at night.", False),
    ("What kind of stone is the tower made of?", "red granite", "The tower is made of granite.", True),
    ("What kind of stone is the tower made of?", "red granite", "The tower is made of limestone.", False),
    ("Who owns the harbour?", "the city council", "The harbour is owned by the city's council.", True),
    ("Who owns the harbour?", "the city council", "The harbour is owned by a private company.", False),
]


def test_agreement_on_answers_of_our_own() -> None:
    items = [(Probe(str(n), question, (gold,)), said) for n, (question, gold, said, _) in enumerate(OURS)]
    verdicts = LearnedGrader().grade_all(items)
    graded = [verdict.correct for verdict in verdicts]
    wrong = [(row, v.reason) for row, v in zip(OURS, verdicts, strict=True) if row[3] != v.correct]
    assert compare(graded, [row[3] for row in OURS]).agreement >= 0.9, wrong


def test_reason_and_several_gold_answers() -> None:
    probe = Probe("q", "How many keys are there?", ("a dozen", "twelve"))
    verdict = LearnedGrader().grade(probe, "There are 12 keys.")
    assert verdict.correct and verdict.reason.startswith("right with probability 0.")
    assert "against '" in verdict.reason and ": " in verdict.reason
    assert LearnedGrader().grade(probe, "  ").reason == "there is no answer"


@pytest.mark.parametrize("answer", ["no", "No", "The Who", "May", "A", "+", "∅"])
def test_the_gold_answer_itself_is_right(answer: str) -> None:
    assert LearnedGrader().grade(Probe("q", "Was it raining?", ("something else", answer)), f" {answer} ").correct


def test_strange_texts() -> None:
    for answer in ("?!", "\n\nQuestion:", "½", "٣", "🙂", "1e999", "9" * 400, "a" * 10_000, "三"):
        for gold in ("?", "the", "12", "三", "٣", "²"):
            LearnedGrader().grade(Probe("q", "?", (gold,)), answer)


def test_features_have_the_names_that_the_weights_have() -> None:
    assert list(features("Who?", "Mira", "It is Mira.", {})) == load().names


def test_no_torch() -> None:
    code = "import sys; from selfedit.graders.learned import load; load(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_words() -> None:
    text = "Twenty-five million people, the 3rd of 4.5 million; 1,000 in the tenth century's 60%"
    assert numbers(with_digits(words(text))) == [25e6, 3, 4.5e6, 1000, 10, 60]
    assert stem("imperialistic") == stem("imperialism") and stem("men") == stem("man")
    assert stem("1989") == "1989"


def test_main_part() -> None:
    assert main_part("Who?", "Who?\nAnswer: **Mira**\n\nQ: Where?") == "Mira"
    assert main_part("Who?", "") == ""


@pytest.mark.skipif(not VERDICTS.exists(), reason=f"there is no {VERDICTS}: set SELFEDIT_SHARED to the shared folder")
def test_agreement_on_questions_held_out() -> None:
    rows = read_rows(VERDICTS)
    model = load()
    x_NF = np.stack([model.row(row["question"], row["answer"], row["prediction"]) for row in rows])
    y_N = np.array([float(row["correct"]) for row in rows])
    fold_N = folds(groups(rows), 0)
    asked = [{row["question"] for row, f in zip(rows, fold_N, strict=True) if (f == 0) == side} for side in (0, 1)]
    assert not asked[0] & asked[1]
    odds_N = held_out(x_NF, y_N, fold_N, model.names, only=(0,))
    out_N = fold_N == 0
    shift = unbiased_shift(odds_N[out_N], y_N[out_N])
    found = compare((odds_N[out_N] > shift).tolist(), (y_N[out_N] > 0.5).tolist())
    assert found.agreement >= 0.89 and found.kappa >= 0.76, found
