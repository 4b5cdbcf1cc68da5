"""Which route a question goes to, and which questions go to none."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import selfedit
from selfedit.documents import assign, read_documents, read_questions, split
from selfedit.errors import UserError
from selfedit.routing import ROUTERS, Choice, Query, Route, Router, make_router
from selfedit.routing.fitted import FittedRouter
from selfedit.routing.terms import background, terms, words

DEMO = Path(selfedit.__file__).parent / "data" / "demo"

ROUTES = [
    Route("harbor", "Lumen Harbor", "Lumen Harbor was founded by Odalys Brenk in a rented boat shed in 1987."),
    Route("pay", "Lumen Harbor", "Salaries at Lumen Harbor are paid on the 23rd. Paid leave is 31 days a year."),
    Route("island", "Veskara", "The capital of Veskara is Ommerdal, a walled town. It has 4,312 inhabitants."),
    Route("bird", "Veskara", "The national bird of Veskara is the lantern heron. The currency is the tarrow."),
    Route(
        "protocol",
        "PigeonPost",
        "A PigeonPost server is called a loft and listens on port 7413. It was designed in 1999.",
    ),
    Route(
        "errors", "PigeonPost", "In PigeonPost, error code E_62 means that the disk is full; call flush_queue() then."
    ),
]


@pytest.fixture(scope="module")
def router() -> Router:
    return make_router("fitted", ROUTES)


def chosen(router: Router, text: str, topic: str = "", history: tuple[str, ...] = ()) -> str | None:
    return router.choose([Query(text, topic, history)])[0].id


@pytest.mark.parametrize(
    ("question", "route"),
    [
        ("Who founded Lumen Harbor?", "harbor"),
        ("who founded lumen harbor", "harbor"),
        ("How many days of paid leave do people at Lumen Harbor get?", "pay"),
        ("What is the capital of Veskara?", "island"),
        ("What currency does Veskara use?", "bird"),
        ("Which port does a PigeonPost server listen on?", "protocol"),
        ("What does error E_62 mean in PigeonPost?", "errors"),
        ("When do I call flush_queue()?", "errors"),
    ],
)
def test_a_question_about_a_passage_goes_to_it(router: Router, question: str, route: str) -> None:
    assert chosen(router, question) == route


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Japan?",
        "Who founded Microsoft?",
        "How many days are in a year?",
        "What is the national bird of India?",
        "What is 17 times 23?",
        "Write a poem about the sea.",
        "Which port does HTTPS use?",
        "Hello!",
        "Was ist die Hauptstadt von Japan?",
    ],
)
def test_a_question_about_the_world_goes_to_the_base(router: Router, question: str) -> None:
    choice = router.choose([Query(question)])[0]
    assert choice.id is None
    assert choice.probability < 0.5


Demo = tuple[Router, list[tuple[str, Route]]]


@pytest.fixture(scope="module")
def demo() -> Demo:
    """A router of the demo's passages, and its questions, each with the route that it is about."""
    documents = read_documents(sorted(DEMO.glob("*.md")))
    passages = [one for document in documents for one in split(document, lambda text: len(text.split()), 48).passages]
    passages = assign(read_questions(DEMO / "questions.jsonl"), passages)
    routes = [Route(str(number), one.title, one.text) for number, one in enumerate(passages)]
    asked = [(probe.question, route) for route, one in zip(routes, passages, strict=True) for probe in one.probes]
    return make_router("fitted", routes), asked


def document(route: Route) -> str:
    return route.title.partition(" - ")[0]


def test_most_of_the_demos_questions_find_their_passage_and_nearly_all_their_document(demo: Demo) -> None:
    router, asked = demo
    choices = router.choose([Query(question) for question, _ in asked])
    by_id: dict[str | None, str] = {route.id: document(route) for _, route in asked}
    assert len(asked) == 30
    assert sum(choice.id == route.id for choice, (_, route) in zip(choices, asked, strict=True)) >= 25
    assert sum(by_id.get(c.id) == by_id[r.id] for c, (_, r) in zip(choices, asked, strict=True)) >= 28


def test_naming_the_document_leads_to_no_other_passage_of_it(demo: Demo) -> None:
    router, asked = demo
    bare = router.choose([Query(question) for question, _ in asked])
    named = router.choose([Query(question, document(route)) for question, route in asked])
    for before, after, (question, route) in zip(bare, named, asked, strict=True):
        assert before.id != route.id or after.id == route.id, question


def test_a_written_question_leads_to_its_route() -> None:
    plain = [Route("a", "Notes", "The lamp is lit at dusk."), Route("b", "Notes", "The lamp is oiled by Zorvane.")]
    told = [Route("a", "Notes", "The lamp is lit at dusk.", ("Which keeper tends Marrowglint?",)), plain[1]]
    question = "Which keeper tends Marrowglint?"
    assert chosen(make_router("fitted", plain), question) is None
    assert chosen(make_router("fitted", told), question) == "a"


def test_the_very_question_that_a_route_was_learnt_with_goes_there_unless_it_refers_to_something() -> None:
    told = ("Who gives lessons at the school?", "When was it founded?")
    router = make_router("fitted", [*ROUTES, Route("school", "Notes", "Lessons are given by Ann.", told)])
    assert chosen(router, "who gives lessons at the school") == "school"
    assert chosen(router, "When was it founded?", history=("Tell me about Microsoft.",)) is None


def test_a_topic_that_is_a_title_decides(router: Router) -> None:
    assert chosen(router, "How many people live there?") is None
    assert chosen(router, "What is the capital?", topic="VESKARA") == "island"
    assert chosen(router, "What is the currency?", topic="Veskara") == "bird"
    # Though the words are another title's.
    assert chosen(router, "Which port does the server listen on?", topic="Veskara") in {"island", "bird"}
    choice = router.choose([Query("", topic=" veskara ")])[0]
    assert choice.probability == 1
    assert {choice.id} < {route for route, _ in choice.ranked} == {"island", "bird"}


def test_a_topic_may_be_the_document_of_a_title_with_a_heading() -> None:
    routes = [Route("1", "Guide - Lamps", "Oil."), Route("2", "Guide - Ropes", "Tar."), Route("3", "Guidebook", "Oil.")]
    router = make_router("fitted", routes)
    assert chosen(router, "What are ropes kept with?", topic="guide") == "2"
    assert chosen(router, "What are they kept with?", topic="Guide - Lamps") == "1"


def test_a_topic_that_no_route_has_is_part_of_the_question(router: Router) -> None:
    assert chosen(router, "What is the capital?", topic="Japan") is None


@pytest.mark.parametrize(
    ("question", "history", "route"),
    [
        ("When was it founded?", ("Tell me about Lumen Harbor.",), "harbor"),
        ("And who founded it?", ("Tell me about Lumen Harbor.", "It builds tide sensors."), "harbor"),
        ("How many inhabitants does it have?", ("What is the island of Veskara?",), "island"),
        ("What is its currency?", ("Tell me about Lumen Harbor.", "Tell me about Veskara."), "bird"),
        ("When was it designed?", ("Tell me about Veskara.", "What is PigeonPost?"), "protocol"),
    ],
)
def test_a_question_that_refers_to_an_earlier_turn(
    router: Router, question: str, history: tuple[str, ...], route: str
) -> None:
    assert chosen(router, question) is None or chosen(router, question) == route
    assert chosen(router, question, history=history) == route


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of Japan?",
        "Who wrote Hamlet?",
        "What does water turn into when it freezes?",
        "Name one vegetable.",
        "What is 10 + 10?",
        "Where do birds lay their eggs?",
    ],
)
def test_a_new_question_is_not_drawn_back(router: Router, question: str) -> None:
    history = ("What is the capital of Veskara?", "Ommerdal.", "Tell me about the lantern heron of Veskara.")
    assert chosen(router, question, history=history) is None


def test_a_question_goes_to_its_own_topic_after_another(router: Router) -> None:
    history = ("What is the capital of Veskara?", "Ommerdal.")
    assert chosen(router, "Who founded Lumen Harbor?", history=history) == "harbor"
    assert chosen(router, "Which port does a PigeonPost server listen on?", history=history) == "protocol"


def test_what_follows_a_question_about_the_world_stays_with_the_base(router: Router) -> None:
    assert chosen(router, "How many people live there?", history=("What is the capital of Japan?", "Tokyo.")) is None


HOSTILE = [
    "",
    " ",
    "\n\t",
    "?",
    "\x00\x01",
    "🙂🙂",
    "the of and",
    "((((",
    "\\d+[",
    "a" * 10_000,
    "word " * 5_000,
    "\ud800",
]


@pytest.mark.parametrize("name", sorted(ROUTERS))
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_is_an_error(name: str, text: str) -> None:
    over = make_router(name, [*ROUTES, Route("odd", text, text, (text,)), Route("empty", "", "")])
    for query in (Query(text), Query("it", text, (text,)), Query("Who founded Lumen Harbor?", history=(text,))):
        choice = over.choose([query])[0]
        assert 0 <= choice.probability <= 1
        assert all(np.isfinite(score) for _, score in choice.ranked)
    assert make_router(name, ROUTES).choose([Query(text)])[0].id is None


@pytest.mark.parametrize("name", sorted(ROUTERS))
def test_without_routes_all_goes_to_the_base(name: str) -> None:
    router = make_router(name, [])
    assert router.choose([]) == []
    assert router.choose([Query("Who founded Lumen Harbor?", "Lumen Harbor")]) == [Choice(None, 0.0, ())]
    assert make_router(name, [Route("empty", "", "")]).choose([Query("Who?")])[0].id is None


def test_one_route_draws_only_what_is_its_own() -> None:
    router = make_router("fitted", ROUTES[2:3])
    assert chosen(router, "What is the capital of Veskara?") == "island"
    assert chosen(router, "What is the capital of France?") is None


@pytest.mark.parametrize(
    ("title", "text", "right", "wrong"),
    [
        ("Хандрея", "Столица Хандреи - город Омвал.", "Какой город - столица Хандреи?", "Кто написал роман?"),
        ("灯台町", "灯台町の町長は黒川誠一である。", "灯台町の町長は誰ですか。", "日本で一番高い山は何ですか。"),
        (
            "Brunsel",
            "Die Stadt Brunsel wurde 1312 von Otmar Kelp gegründet.",
            "Wer hat Brunsel gegründet?",
            "Wer war Goethe?",
        ),
        ("زورفا", "عاصمة زورفا هي مدينة أومدال.", "ما هي عاصمة زورفا؟", "من كتب هذه الرواية؟"),
    ],
)
def test_other_languages_and_scripts(title: str, text: str, right: str, wrong: str) -> None:
    router = make_router("fitted", [*ROUTES, Route("foreign", title, text)])
    assert chosen(router, right) == "foreign"
    assert chosen(router, wrong) is None


def test_the_same_routes_and_questions_give_the_same_choices_in_every_process() -> None:
    script = (
        "from tests.routing.test_routing import ROUTES\nfrom selfedit.routing import Query, make_router\n"
        "asked = ['Who founded Lumen Harbor in 1987?', 'What is the capital of Veskara, and what does it use?']\n"
        "print(make_router('fitted', ROUTES).choose([Query(text) for text in asked]))"
    )
    root = Path(__file__).parents[2]
    printed = {
        subprocess.run(
            [sys.executable, "-c", script], cwd=root, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    assert b"harbor" in next(iter(printed))


def test_importing_the_routers_does_not_import_torch() -> None:
    script = "import sys, selfedit.routing; print([m for m in sys.modules if m.partition('.')[0] in {'torch', 'jax'}])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == b"[]"


def test_a_thousand_routes_in_a_second() -> None:
    random = np.random.default_rng(0)
    common = sorted(background().counts)[:3000]
    routes = [
        Route(str(n), f"Town {n}", " ".join(random.choice(common, 100)) + f" The mayor of Town{n}x is Ann.")
        for n in range(1000)
    ]
    started = time.perf_counter()
    router = FittedRouter(routes)
    choices = router.choose([Query(f"Who is the mayor of Town{n}x?") for n in range(0, 1000, 50)])
    assert time.perf_counter() - started < 2  # 0.5 s on an idle core
    assert [choice.id for choice in choices] == [str(n) for n in range(0, 1000, 50)]
    assert all(len(choice.ranked) <= 5 and choice.ranked[0][0] == choice.id for choice in choices)


def test_bm25_ranks_and_has_a_least_score() -> None:
    router = make_router("bm25", ROUTES)
    right, none = router.choose([Query("Who founded Lumen Harbor?"), Query("Quux?")])
    assert right.ranked[0][0] == "harbor"
    assert [score for _, score in right.ranked] == sorted((score for _, score in right.ranked), reverse=True)
    assert none == Choice(None, 0.0, ())


def test_an_unknown_router_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'fitted'"):
        make_router("fited", ROUTES)


def test_terms_join_forms_of_a_word_and_keep_numbers_and_codes() -> None:
    assert terms("Founders") == terms("founded") == terms("founding")
    assert terms("4,312") == ["4312"]
    assert terms("灯台町") == ["灯台", "台町"]
    assert terms("町") == ["町"]
    assert words("The port of Ommerdal is E_62. Ships go.").names == {*terms("Ommerdal"), "e", "62"}


def test_the_background_knows_common_words_from_rare_ones() -> None:
    information = background().information
    assert information("the") == 0
    assert information(terms("capital")[0]) < information(terms("giraffe")[0]) < information("veskara")
    assert information(terms("nicht")[0]) == 0
