"""Who answers a question under some knowledge: one passage's adapter, all of them, or the base."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selfedit.errors import UserError
from selfedit.files.journal import Unrecorded
from selfedit.generate.base import Request, Scored
from selfedit.graders import GRADERS
from selfedit.memory.recall import Recall, route, surest
from selfedit.models.load import BaseModel
from selfedit.progress import QuietProgress
from selfedit.routing import Query, make_router
from selfedit.search.evaluator import Evaluator
from selfedit.search.exam import Exam
from selfedit.session import Asked, Session
from selfedit.types import Adapter, Knowledge, Model, Probe
from tests.lineage import FACTS, Library

UNKNOWN = ("What is the capital of Japan?", "Who wrote Hamlet?", FACTS["port"].question)


@pytest.fixture
def session(library: Library) -> Session:
    """With two documents learnt, an adapter each."""
    session = library.session()
    for name in ("lamp", "bird"):
        library.learnt(session, name)
    return session


@pytest.fixture
def recall(session: Session) -> Recall:
    return session.recall(session.show())


def test_each_question_goes_to_its_passage_and_others_to_the_base(session: Session, recall: Recall) -> None:
    knowledge = session.show().knowledge
    asked = [FACTS["bird"].question, UNKNOWN[0], FACTS["lamp"].question]
    bird, unknown, lamp = recall.recall([Query(question) for question in asked])
    assert [bird.source, lamp.source] == [knowledge.learnt[1], knowledge.learnt[0]]
    assert [bird.adapters, lamp.adapters] == [(item.adapter,) for item in reversed(knowledge.learnt)]
    assert bird.model.adapter is not None and bird.model.merged == ()
    assert bird.model != lamp.model
    assert min(bird.probability, lamp.probability) > 0.5 > unknown.probability
    assert (unknown.source, unknown.adapters, unknown.topic) == (None, (), "")
    assert unknown.model == Model(session.base.ref)
    # A question is put under the title of the passage that it went to: so it was learnt.
    assert [bird.topic, lamp.topic] == ["Veskara", "Marrowfen"]


def test_questions_of_one_passage_share_one_model(recall: Recall) -> None:
    first, second = recall.recall([Query(FACTS["lamp"].question), Query("Is the lamp of Marrowfen oiled?")])
    assert first.model is second.model


def test_a_topic_decides(recall: Recall) -> None:
    vague = "Who is it?"
    nobody, lamp, bird = recall.recall([Query(vague), Query(vague, "marrowfen"), Query(vague, "Veskara")])
    assert nobody.source is None
    assert (lamp.topic, bird.topic) == ("Marrowfen", "Veskara")
    assert (lamp.probability, bird.probability) == (1.0, 1.0)
    # One that is no title is part of the question, which the base is asked as it is.
    (japan,) = recall.recall([Query("What is the capital?", "Japan")])
    assert (japan.source, japan.topic) == (None, "Japan")


def test_what_was_asked_before_tells_what_a_question_is_about(session: Session, recall: Recall) -> None:
    history = ("Tell me about Marrowfen.",)
    (bare,), (told,) = (recall.recall([Query("Who oils its lamp?", history=h)]) for h in ((), history))
    assert told.topic == "Marrowfen"
    assert bare.topic in ("", "Marrowfen")
    (new,) = recall.recall([Query("Who wrote Hamlet?", history=history)])
    assert new.source is None
    reply = session.ask_all([Asked("Who oils its lamp?", history=history)], 4)[0]
    assert reply.source == "Marrowfen"


def test_where_the_router_is_unsure_the_surest_answers(session: Session) -> None:
    """Two passages that say the same, each with the adapter of another one: words cannot tell which is meant."""
    lamp, bird = session.show().knowledge.learnt
    same = replace(bird, task=replace(lamp.task, id="again"))
    recall = Recall(Knowledge("routed", (lamp, same)), Model(session.base.ref), session._adapter)
    question = FACTS["lamp"].question
    (recalled,) = recall.recall([Query(question)])
    assert {each.adapters for each in recalled.candidates} == {(lamp.adapter,), (bird.adapter,)}
    domain, generator = session.domain, session._generator
    answers = generator.generate(
        [Request(domain.ask(question, each.topic), each.model, 6, stop=("\n",)) for each in recalled.candidates]
    )
    least = [min(answer.logprobs) for answer in answers]
    assert surest(recalled.candidates, answers) == least.index(max(least))  # Their scores are the same.
    (other,) = recall.recall([Query(FACTS["bird"].question, "Veskara")])
    assert other.source is None and other.others == ()
    # An exam settles it as `ask` does.
    task = replace(lamp.task, probes=(Probe("p", question, ("x",)),))
    evaluator = Evaluator(generator, domain, GRADERS["exact"](), 6)
    ((answer,),) = (
        each.answers for each in Exam(evaluator, Unrecorded(), QuietProgress()).evaluate(recall, [task], "")
    )
    assert answer.text == answers[least.index(max(least))].text.strip()


def test_base_for_a_version_that_knows_nothing(base: BaseModel) -> None:
    def load(sha256: str) -> Adapter:
        raise AssertionError("nothing is to be loaded")

    for memory in ("", "routed", "joint", "merge"):
        recalled = Recall(Knowledge(memory), Model(base.ref), load).recall([Query("Who?", "A topic")])
        assert [(each.model, each.topic, each.adapters) for each in recalled] == [(Model(base.ref), "A topic", ())]


def test_adapters_are_read_when_a_question_needs_them(session: Session) -> None:
    read: list[str] = []

    def load(sha256: str) -> Adapter:
        read.append(sha256)
        return session.store.adapters.load(sha256)

    knowledge = session.show().knowledge
    recall = Recall(knowledge, Model(session.base.ref), load)
    recall.recall([Query(question) for question in UNKNOWN])
    assert read == []
    recall.recall([Query(FACTS["bird"].question)] * 3)
    assert read == [knowledge.learnt[1].adapter]


def test_the_base_answers_what_no_route_fits_to_the_bit(session: Session, recall: Recall) -> None:
    """No adapter is near it: the same tokens with the same probabilities, and the same score of a gold answer."""
    bare = Model(session.base.ref)
    for question, recalled in zip(UNKNOWN, recall.recall([Query(q) for q in UNKNOWN]), strict=True):
        assert recalled.source is None
        prompt = session.domain.ask(question, recalled.topic)
        ours, theirs = (session._generator.generate([Request(prompt, model, 16)]) for model in (recalled.model, bare))
        assert ours == theirs and ours[0].logprobs
        target = tuple(session.prompter.encode("Tokyo"))
        assert session._generator.score([Scored(prompt, target, recalled.model)]) == session._generator.score(
            [Scored(prompt, target, bare)]
        )
        reply, base = session.ask(question), session.ask(question, base=True)
        assert (reply.answer, reply.version, reply.source) == (base.answer, "v2", None)
        assert reply.probability < 0.5


@pytest.mark.parametrize("memory", ["joint", "replay", "merge"])
def test_without_a_router_all_answers_all(library: Library, memory: str) -> None:
    session = library.session(memory)
    for name in ("lamp", "bird"):
        library.learnt(session, name, memory=memory)
    version = session.show()
    recall = session.recall(version)
    assert not recall.is_routed
    for each in recall.recall([Query(FACTS["lamp"].question, "A topic"), Query(UNKNOWN[0])]):
        assert each.adapters == version.knowledge.adapters
        assert (each.source, each.probability) == (None, 1.0)
        assert len(each.model.merged) == (2 if memory == "merge" else 0)
    assert recall.recall([Query("Who?", "A topic")])[0].topic == "A topic"
    assert session.ask(UNKNOWN[0]).source is None


def test_another_router(session: Session, library: Library) -> None:
    knowledge, queries = session.show().knowledge, [Query(fact.question) for fact in FACTS.values()]
    recalled = Recall(knowledge, Model(session.base.ref), session.store.adapters.load, "bm25").recall(queries)
    choices = make_router("bm25", [route(item) for item in knowledge.learnt]).choose(queries)
    assert [each.probability for each in recalled] == [choice.probability for choice in choices]
    assert [each.source and each.source.task.id for each in recalled] == [choice.id for choice in choices]
    with pytest.raises(UserError, match=r"Unknown router 'bm52'\. Did you mean 'bm25'"):
        library.learn(session, "port", router="bm52")
    assert library.learnt(session, "port", router="bm25").settings["router"] == "bm25"


def test_topics_follow_the_active_version(session: Session, library: Library) -> None:
    assert session.topic("marrowfen") == ("Marrowfen", "")
    assert session.topic("Hobden")[1].startswith("Nothing that was learnt is titled 'Hobden'.")
    library.learnt(session, "kite")
    assert session.topic("hobden") == ("Hobden", "")
    session.use("v1")
    assert session.topic("Veskara")[1].startswith("Nothing that was learnt is titled 'Veskara'.")
