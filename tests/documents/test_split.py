"""Splitting documents into passages."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from selfedit.documents import Document, Passage, Question, Section, split


def words(text: str) -> int:
    return len(text.split())


def rough_tokens(text: str) -> int:
    """Pieces of up to 4 characters and a begin token: not additive, as real tokenizers are not."""
    return 1 + sum((len(word) + 3) // 4 for word in text.replace("\n\n", " ¶ ").split())


def document(*sections: tuple[str, str], probes: tuple[Question, ...] = ()) -> Document:
    return Document("d.md", "Doc", tuple(Section(*section) for section in sections), "0" * 64, probes)


def text(n: int, name: str = "w") -> str:
    return " ".join(f"{name}{i}" for i in range(n))


def sizes(passages: tuple[Passage, ...]) -> list[int]:
    return [words(passage.text) for passage in passages]


def test_what_fits_is_one_passage_as_written() -> None:
    probe = Question("Q?", ("nowhere",))
    source = "One.  Two\n\n\n    code\nThree."
    [passage] = split(document(("", source), probes=(probe,)), words, 100).passages
    assert passage == Passage("Doc", source, "d.md", (probe,))


def test_exactly_fits() -> None:
    result = split(document(("A", text(10))), words, 10)
    assert (len(result.passages), result.cut_paragraphs) == (1, 0)
    assert result.passages[0].title == "Doc - A"


def test_small_sections_are_merged_with_their_headings_shown() -> None:
    [passage] = split(document(("", "intro"), ("A", "a"), ("A > B", "b"), ("C", "c")), words, 100).passages
    assert passage.title == "Doc"
    assert passage.text == "intro\n\nA\n\na\n\nA > B\n\nb\n\nC\n\nc"


def test_sections_under_one_heading_share_it_as_title() -> None:
    [passage] = split(document(("A", "a"), ("A > B", "b"), ("A > C", "c")), words, 100).passages
    assert passage.title == "Doc - A"
    assert passage.text == "a\n\nB\n\nb\n\nC\n\nc"


def test_breaks_at_headings_rather_than_inside_sections() -> None:
    half = f"{text(10)}\n\n{text(10)}"
    result = split(document(("A", half), ("B", half), ("C", half)), words, 30)
    assert [passage.title for passage in result.passages] == ["Doc - A", "Doc - B", "Doc - C"]


def test_breaks_at_paragraphs_rather_than_inside_them() -> None:
    result = split(document(("", "\n\n".join([text(9)] * 4))), words, 20)
    assert sizes(result.passages) == [18, 18]
    assert result.cut_paragraphs == 0


def test_no_tiny_last_passage() -> None:
    assert sizes(split(document(("", "\n\n".join([text(10)] * 3 + ["x"]))), words, 30).passages) == [20, 11]
    # Rather than leave a short section alone, its neighbour is taken apart.
    assert sizes(split(document(("", "x y"), ("", f"{text(15)}\n\n{text(15)}")), words, 30).passages) == [17, 15]


def test_long_paragraphs_are_cut_between_sentences() -> None:
    paragraph = " ".join(f"Sentence {i} has exactly six words." for i in range(10))
    result = split(document(("", paragraph)), words, 20)
    assert result.cut_paragraphs == 1
    assert all(passage.text.startswith("Sentence") and passage.text.endswith(".") for passage in result.passages)
    assert sorted(sizes(result.passages)) == [12, 12, 18, 18]


def test_what_ends_a_sentence() -> None:
    sentences = ['He said "go."', "It is e.g. about 3.5 of it!", "Is it?", "So\u2026"]
    result = split(document(("", " ".join(sentences))), lambda part: 1 if part in sentences else 9, 1)
    assert [passage.text for passage in result.passages] == sentences


def test_full_width_sentences_need_no_spaces() -> None:
    source = "这是一。那是二\uff01「什么\uff1f」好。" * 4
    passages = split(document(("", source)), len, 20).passages
    assert all(passage.text[-1] in "。\uff01」" and len(passage.text) <= 20 for passage in passages)
    assert "".join(passage.text for passage in passages) == source


def test_long_lists_are_cut_between_lines() -> None:
    lines = [f"- item number {i}" for i in range(64)]
    for passage in split(document(("", "\n".join(lines))), words, 30).passages:
        assert set(passage.text.split("\n")) <= set(lines)


def test_long_sentences_are_cut_between_words_and_words_between_characters() -> None:
    result = split(document(("", text(100))), words, 30)
    assert max(sizes(result.passages)) <= 30
    assert " ".join(passage.text for passage in result.passages) == text(100)
    word = "".join(random.Random(0).choices("abc", k=100))
    result = split(document(("", f"a {word} b")), rough_tokens, 5)
    assert all(rough_tokens(passage.text) <= 5 for passage in result.passages)
    assert "".join("".join(passage.text.split()) for passage in result.passages) == f"a{word}b"


def test_a_character_that_does_not_fit_is_kept() -> None:
    assert [passage.text for passage in split(document(("", "abc")), lambda _: 5, 2).passages] == ["a", "b", "c"]


def test_max_tokens_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        split(document(("", "x")), words, 0)


def test_probes_go_to_the_passage_with_the_answer() -> None:
    probes = (Question("Where is Rome?", ("in Italy",)), Question("Where is the capital?", ("Lima", "in Peru")))
    source = f"The capital Lima lies in Peru. {text(6)}.\n\nRome lies in Italy. {text(6)}."
    first, second = split(document(("", source), probes=probes), words, 14).passages
    assert (first.probes, second.probes) == ((probes[1],), (probes[0],))


def random_document(rng: random.Random) -> Document:
    sections = []
    for number in range(rng.randint(1, 8)):
        paragraphs = []
        for _ in range(rng.randint(1, 6)):
            # Beginning with 'p', so that headings, which begin with 'H', can be told from text.
            tokens = ["p" + "x" * rng.choice([0, 1, 5, rng.randint(0, 90)]) for _ in range(rng.randint(1, 60))]
            ends = [token + rng.choice(["", "", "", ".", "!", '."', "\n", "。"]) for token in tokens]
            paragraphs.append(" ".join(ends).strip())
        heading = rng.choice(["", f"H{number}", f"H0 > H{number}", f"H0 > H1 > H{number}"])
        sections.append((heading, rng.choice(["\n\n", "\n \n\n"]).join(paragraphs)))
    return document(*sections)


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_lost_and_everything_fits(seed: int) -> None:
    rng = random.Random(seed)
    source = random_document(rng)
    count = rng.choice([words, rough_tokens, len])
    max_tokens = rng.choice([7, 20, 64, 200, 10_000])
    passages = split(source, count, max_tokens).passages
    assert all(passage.text == passage.text.strip() and passage.text for passage in passages)
    assert all(count(passage.text) <= max_tokens for passage in passages)
    kept = [word for passage in passages for word in passage.text.split() if word[0] not in "H>"]
    expected = [word for section in source.sections for word in section.text.split()]
    assert "".join(kept) == "".join(expected)
    if max(map(count, expected)) <= max_tokens and not any("。" in word for word in expected):
        assert kept == expected
    assert split(source, count, max_tokens).passages == passages


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_that_would_fit_together_are_together(seed: int) -> None:
    rng = random.Random(seed)
    source = document(("", "\n\n".join(text(rng.randint(1, 20)) for _ in range(40))))
    found = sizes(split(source, words, 64).passages)
    assert all(a + b > 64 for a, b in pairwise(found))
    assert min(found) >= 16


def test_many_short_paragraphs_take_little_time() -> None:
    result = split(document(("", "\n\n".join(["a b c"] * 4000))), words, 2048)
    assert sum(sizes(result.passages)) == 12_000
    assert len(result.passages) == 6


def test_counting_is_linear() -> None:
    def calls(paragraphs: int) -> int:
        made = 0

        def count(part: str) -> int:
            nonlocal made
            made += 1
            return words(part)

        split(document(("", "\n\n".join([text(20)] * paragraphs))), count, 200)
        return made

    assert calls(400) <= 2 * 400
