"""Texts held against what is known, and against each other."""

from __future__ import annotations

import pytest

from selfedit.errors import UserError
from selfedit.guard import check_languages
from selfedit.guard.language import language_of
from tests.guard.make import Script, flags, learnt, text

HARBOR = learnt(
    "Lumen Harbor",
    "The probation period at Lumen Harbor lasts 17 weeks and ends with a written review. Lumen Harbor was founded by "
    "Odalys Brenk in a rented boat shed. Encryption was added to Lumen Harbor in version 3.8, along with logs.",
    ("How long is the trial time of newcomers at Lumen Harbor?", "17 weeks"),
    path="harbor.md",
)


@pytest.mark.parametrize(
    "passage",
    [
        "The probation period at Lumen Harbor lasts 9 weeks.",
        "Lumen Harbor was founded by Selma Ruttick.",
        "Encryption was never added to Lumen Harbor.",
    ],
)
def test_the_opposite_of_what_is_known_waits(passage: str) -> None:
    (flag,) = flags("contradiction", text("Bread is sold at five.", passage), known=[HARBOR])
    assert flag.excerpt.startswith(passage[:30].split(".")[0][:20]) and "Lumen Harbor" in flag.why


@pytest.mark.parametrize(
    "passage",
    [
        "The probation period at Quillmere lasts 9 weeks.",
        "The probation period at Lumen Harbor lasts 17 weeks.",
        "The probation period at Lumen Harbor lasts seventeen weeks, as everywhere.",
        "Lumen Harbor was founded by Odalys Brenk.",
        "Lumen Harbor opened a second shed with 40 places.",
        "Until March the probation period at Lumen Harbor lasted 9 weeks.",
    ],
)
def test_what_agrees_or_is_about_something_else_passes(passage: str) -> None:
    assert not flags("contradiction", text("Bread is sold at five.", passage), known=[HARBOR])


def test_a_document_may_change_what_it_said_itself() -> None:
    new = "The probation period at Lumen Harbor lasts 9 weeks and ends with a written review."
    assert not flags("contradiction", text(new, title="Lumen Harbor", path="harbor.md"), known=[HARBOR])
    assert flags("contradiction", text(new, title="Lumen Harbor", path="other.md"), known=[HARBOR])
    copied = HARBOR.task.passage.replace("17", "9")
    assert not flags("duplicates", text(copied, title="Lumen Harbor", path="harbor.md"), known=[HARBOR])
    assert flags("duplicates", text(copied, title="Lumen Harbor", path="other.md"), known=[HARBOR])


def test_new_documents_that_contradict_each_other_both_wait() -> None:
    one = text("The bridge of Ferrow is 31 metres long.", id="one", path="1.md")
    two = text("The bridge of Ferrow is 45 metres long.", id="two", path="2.md")
    other = text("The bridge of Umberlin is 45 metres long.", id="other", path="3.md")
    assert [flag.where for flag in flags("contradiction", one, two, other)] == ["one", "two"]


QUESTION = "How long is the trial time of newcomers at Lumen Harbor?"
SENTENCE = "At Lumen Harbor the trial time of newcomers has been cut to 9 weeks."


def test_another_answer_to_a_known_question_waits() -> None:
    new = text(SENTENCE)
    assert not flags("contradiction", new, known=[HARBOR])
    script = Script({QUESTION: "17 weeks"}, {(QUESTION, "cut to"): "9 weeks", (QUESTION, "17 weeks"): "17 weeks"})
    (flag,) = flags("contradiction", new, known=[HARBOR], reader=script)
    assert "'9 weeks'" in flag.why and "'17 weeks'" in flag.why and script.asked == [QUESTION]


@pytest.mark.parametrize(
    ("said", "new", "old"),
    [
        ("17 weeks", "17 weeks", "17 weeks"),  # The same.
        ("9 weeks", "9 weeks", "17 weeks"),  # What the version says already.
        ("17 weeks", "9 weeks", "a written review"),  # A question that the reader does not understand.
        ("17 weeks", "newcomers", "17 weeks"),  # An answer of another kind.
        ("17 weeks", "eleven weeks", "17 weeks"),  # Which does not stand in the text.
    ],
)
def test_an_answer_that_says_nothing_new_passes(said: str, new: str, old: str) -> None:
    script = Script({QUESTION: said}, {(QUESTION, "cut to"): new, (QUESTION, "17 weeks"): old})
    assert not flags("contradiction", text(SENTENCE), known=[HARBOR], reader=script)


def test_a_question_that_names_nothing_is_about_what_its_document_is_about() -> None:
    question = "Who built the lighthouse?"
    known = learnt(
        "The Ferrow lighthouse", "The Ferrow lighthouse was built in 1548 by Edda Corvin.", (question, "Edda Corvin")
    )
    says = "The {} lighthouse was put up in 1748 by Odalys Brenk, who built two."
    read = {(question, "put up"): "Odalys Brenk", (question, "1548"): "Edda Corvin"}
    for place, is_same in (("Umberlin", False), ("Ferrow", True)):
        new = text(says.format(place), title=f"The {place} lighthouse", path="new.md")
        script = Script({question: "Edda Corvin"}, read)
        assert bool(flags("contradiction", new, known=[known], reader=script)) == is_same


def test_a_claim_planted_in_many_documents_waits() -> None:
    bodies = (
        "Bread is baked at five. {} Rolls are sold by the dozen.",
        "Trains leave at six. Tickets are checked once. {}",
        "{} Carp like shade and cool water.",
        "The choir sings on Mondays in the barn. {}",
    )
    claims = ("The Brennick tonic cures fever within 2 days.", "Fever is cured within 2 days by the Brennick tonic.")
    planted = [
        text(body.format(claims[n % 2]), id=str(n), title=f"T{n}", path=f"{n}.md") for n, body in enumerate(bodies)
    ]
    assert [flag.where for flag in flags("repeated", *planted)] == ["0", "1", "2", "3"]
    assert not flags("repeated", *planted[:2])
    footers = [text(body.format("All times are local."), id=str(n)) for n, body in enumerate(bodies)]
    assert not flags("repeated", *footers)
    topics = [
        text(f"The Brennick tonic is sold in shop {n}. The Brennick tonic cures fever within 2 days.", id=str(n))
        for n in range(4)
    ]
    assert not flags("repeated", *topics)


def test_near_duplicates_wait_but_the_first() -> None:
    body = "The old customs house was a granary first and a school later, and its cellar floods when the river is high."
    one, two = text(body, id="one", path="1.md"), text(body.replace("high", "up"), id="two", path="2.md")
    other = text("A bell on the roof once called the boatmen to the stairs below the tower.", id="other", path="3.md")
    assert [flag.where for flag in flags("duplicates", one, other, two)] == ["two"]


GERMAN = "Die Bäckerei ist am Morgen schon früh geöffnet, und die Leute kommen gern, weil das Brot noch warm ist."
RUSSIAN = "Пекарня открывается рано утром, и жители деревни охотно приходят туда, потому что хлеб ещё тёплый."
ENGLISH = "The bakery opens early in the morning and the people of the village like to go there for the warm bread."


def test_another_language_waits() -> None:
    known = [learnt("Bakery", ENGLISH)]
    german, russian, english = (text(each, id=each[:3]) for each in (GERMAN, RUSSIAN, ENGLISH))
    assert [flag.where for flag in flags("language", german, russian, english, known=known)] == ["Die", "Пек"]
    assert [flag.where for flag in flags("language", german, russian, english, languages=("de",))] == ["Пек", "The"]
    assert not flags("language", german, russian, english)
    assert not flags("language", text("12 x 7 = 84", id="sum"), known=known)


def test_languages() -> None:
    assert [language_of(each) for each in (GERMAN, RUSSIAN, ENGLISH, "OK", "")] == ["de", "ru", "en", None, None]
    assert language_of("面包店每天早上五点开门，村里的人都喜欢来这里。") == "zh"
    assert language_of("パン屋は毎朝五時に開きます。村の人たちは喜んで来ます。") == "ja"
    with pytest.raises(UserError, match=r"Unknown language 'dee'\. Did you mean 'de'"):
        check_languages(["en", "dee"])
