"""The Python interface: a base model and a store, to learn, ask and export with. The command line only calls this."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfedit.errors import UserError, nearest
from selfedit.graders import GRADERS
from selfedit.learn.config import DEFAULT_FORMAT, LearnConfig, learn_config
from selfedit.models import DEFAULT_MODEL, resolve
from selfedit.policies.formats import get_format
from selfedit.progress import Progress, QuietProgress
from selfedit.rewards import make_reward
from selfedit.rules import LimitError
from selfedit.store import BASE, Feedback, Store, ancestors, approve, check_base, reject
from selfedit.store.admission import check_folders, check_parent
from selfedit.types import Adapter, DriftFigures, Knowledge, Model, Task, Version

if TYPE_CHECKING:
    from selfedit.documents import Document
    from selfedit.domains.knowledge import KnowledgeDomain
    from selfedit.generate.base import Generator
    from selfedit.learn.change import Change, Difference
    from selfedit.learn.feedback import FeedbackResult
    from selfedit.learn.prepare import Material
    from selfedit.learn.run import LearnResult
    from selfedit.learn.start import Learner
    from selfedit.learn.update import Updater
    from selfedit.memory.recall import Recall
    from selfedit.models.load import BaseModel
    from selfedit.models.prompt import Prompter
    from selfedit.store.export_vllm import VllmExport

DEFAULT_STORE = Path(".selfedit")

_HOW = ("sentences", "seed", "edit_training", "final_training", "router", "replay", "margins", "grader", "reward")
"""Settings of a version by which what is left of it is trained again."""

_ASKED_SO = ("max_answer_tokens", "policy", "languages")

_WHATEVER_MEMORY = ("sentences", "seed", "router", "margins", "grader", "reward", *_ASKED_SO)
"""The same, but how it was trained, which each memory does in its own way."""

_LOADED = 64
"""Adapters of a routed version that stay in memory: of the default model some 10 MB each."""


@dataclass(frozen=True)
class Reply:
    """An answer, and the version that gave it; None is the base model.

    Attributes:
        source: the title of the passage whose adapter answered; None where no adapter did, or one answers everything.
        probability: that the question is about something learnt, by the router.
    """

    answer: str
    version: str | None
    source: str | None = None
    probability: float = 1.0


@dataclass(frozen=True)
class Asked:
    """A question, to a version (None is the active one) or to the bare base, under a topic or none.

    Attributes:
        history: what was asked before in the same conversation, the last one last. A router looks at it where the
            question alone does not say what it is about.
    """

    question: str
    version: str | None = None
    base: bool = False
    topic: str = ""
    history: tuple[str, ...] = ()


class Session:
    """A base model with a store of what it has learnt. The model is loaded when it is first needed.

    Args:
        model: a bundled name, a Hugging Face id, a folder or a .gguf file. None: the one that the store's newest
            version was made for, or else the default.
        store: a folder; made at the first `learn`.
        progress: is shown how far long work is.
        actor: who acts, for the store's audit log; None is SELFEDIT_ACTOR or the user of the operating system.
        base: the model, where it is loaded already; `model` and `device` say nothing then.

    Raises:
        UserError: the model's name is unknown, here and in all methods where the user can mend what is wrong.
    """

    def __init__(
        self,
        model: str | None = None,
        store: str | Path = DEFAULT_STORE,
        device: str | None = None,
        progress: Progress | None = None,
        actor: str | None = None,
        base: BaseModel | None = None,
    ) -> None:
        self._store_path, self._device, self._actor = Path(store), device, actor
        self.progress = progress or QuietProgress()
        self._model_name = model
        self._recalls: dict[str, Recall] = {}
        self._adapters: OrderedDict[str, Adapter] = OrderedDict()
        self._titles: dict[str | None, set[str]] = {}
        if base is not None:
            self.base, self._model_name = base, base.name
        elif model is not None:
            resolve(model).check()

    @property
    def store_path(self) -> Path:
        """Where the store is, or will be."""
        return self._store_path

    @property
    def store(self) -> Store:
        """The store, which must exist."""
        return Store.open(self._store_path, actor=self._actor, note=self.progress.note)

    @cached_property
    def base(self) -> BaseModel:
        """The base model, loaded."""
        from selfedit.models.load import load

        return load(self.model_name, device=self._device, progress=self.progress)

    @property
    def model_name(self) -> str:
        """The base model's name."""
        if self._model_name is not None:
            return self._model_name
        if (self._store_path / "store.json").exists() and (ids := self.store.ids()):
            return self.store.get(self.store.active or ids[-1]).base.name
        return DEFAULT_MODEL

    def learn(
        self,
        paths: Sequence[str | Path | Document],
        *,
        parent: str | None = None,
        max_hours: float | None = None,
        **settings: Any,
    ) -> LearnResult:
        """Learn documents on top of what is known, and commit a version if the gates let it through.

        Args:
            paths: files and folders, or documents that are read already.
            parent: the version to go on from, or "base" to begin anew; None is the active one.
            max_hours: refuse what would take longer by the estimate; None for no bound.
            settings: fields of `selfedit.learn.config.LearnConfig`.
        """
        from selfedit.estimate import check_affordable, seconds_of
        from selfedit.learn.prepare import read_keep, read_sources
        from selfedit.policies.file import FilePolicy

        # All that can be wrong without a model is found before one is loaded, and before a store is made.
        config = self.check_learn(parent, **settings)
        keep = read_keep(config.keep)
        sources = read_sources([Path(each) if isinstance(each, str) else each for each in paths], config)
        if (self._store_path / "store.json").exists():
            store = self.store
            check_folders(store.rules, [str(Path(each.path).absolute()) for each in sources.documents], store.home)
        format_ = get_format(config.format or DEFAULT_FORMAT)
        file = FilePolicy(config.edits_from, format_) if config.edits_from is not None else None
        from selfedit.learn.start import Request  # Which imports torch.

        def check(material: Material, config: LearnConfig) -> None:
            if max_hours is not None and config.budget is None:
                parameters = self.base.parameters
                check_affordable(material, config, self._learner.count_tokens, parameters, max_hours)

        def seconds(material: Material) -> Callable[[LearnConfig], float]:
            return seconds_of(material, self._learner.count_tokens, self.base.parameters)

        policy = self._policy(config.policy)
        result = self._learner.learn(Request(sources, config, file, policy, parent, keep, check, seconds))
        if parent is not None or result.pending is not None or not (self._store_path / "store.json").exists():
            return result  # Feedback is about what is active.
        return replace(result, feedback=self._with_feedback(config, policy, keep))

    def _policy(self, name: str | None) -> Adapter | None:
        """A policy by name; one that does not fit the base is refused before the base is loaded."""
        from selfedit.experiments.named_policy import BUNDLED, load_policy, load_policy_for

        if "base" in self.__dict__ or name in (None, BUNDLED):
            return load_policy(name, self.base)
        return load_policy_for(self.model_name, name, self.progress)

    def _with_feedback(
        self, config: LearnConfig, policy: Adapter | None, keep: tuple[Task, ...]
    ) -> FeedbackResult | None:
        """What came of feedback after documents were learnt; what stands against it now is said, and it stays open."""
        from selfedit.learn.corrections import open_cases

        if not any(case.newest.answer for case in open_cases(self.store)):
            return None
        try:
            return self._learner.learn_feedback(config, policy, keep)
        except LimitError as error:
            self.progress.note(f"What people said of answers is not learnt yet: {error}")
            return None

    def check_learn(self, parent: str | None = None, **settings: Any) -> LearnConfig:
        """The settings of `learn`, if nothing is wrong with them or the store, whatever the documents are.

        Raises:
            UserError: something is.
        """
        from selfedit.experiments.named_policy import check_policy
        from selfedit.learn.prepare import read_keep

        config = learn_config(**settings)
        GRADERS[config.grader]()  # A judge says here what it lacks.
        _ = make_reward(config.reward).identity
        Store.check(self._store_path)
        if parent is not None and parent != BASE:
            check_parent(self.store.get(parent).id)
        read_keep(config.keep)
        check_policy(config.policy)
        return config

    def ask(
        self,
        question: str,
        version: str | None = None,
        *,
        base: bool = False,
        topic: str = "",
        max_new_tokens: int = 64,
    ) -> Reply:
        """Answer a question without any document in context; see `ask_all`."""
        (reply,) = self.ask_all([Asked(question, version, base, topic)], max_new_tokens)
        return reply

    def ask_all(self, questions: Sequence[Asked], max_new_tokens: int = 64) -> list[Reply]:
        """Answer questions without any document in context, all together, whichever versions they are put to."""
        from selfedit.generate.base import Request
        from selfedit.memory.recall import Recalled, surest
        from selfedit.routing import Query

        for asked in questions:
            if not asked.question.strip():
                raise UserError('The question is empty. Write it in quotes: selfedit ask "Who ...?"')
        # What is wrong with a version is said before the model is loaded.
        questions = [replace(asked, base=asked.base or self.is_base(asked.version)) for asked in questions]
        versions = {asked.version: self.store.get(asked.version) for asked in questions if not asked.base}
        recalls = {name: self.recall(version) for name, version in versions.items()}
        recalled: dict[int, Recalled] = {}
        for name, recall in recalls.items():
            mine = [i for i, asked in enumerate(questions) if not asked.base and asked.version == name]
            queries = [Query(questions[i].question, questions[i].topic, questions[i].history) for i in mine]
            recalled |= dict(zip(mine, recall.recall(queries), strict=True))
        bare = Model(self.base.ref)
        requests = []
        for i, asked in enumerate(questions):
            for who in (recalled.get(i) or Recalled(bare, asked.topic)).candidates:
                prompt = self.domain.ask(asked.question, who.topic)
                if len(prompt) + max_new_tokens > self.base.context_window:
                    raise UserError(
                        f"The question has {len(prompt)} tokens; with {max_new_tokens} for the answer it does not fit "
                        f"{self.model_name}'s window of {self.base.context_window}. Ask something shorter."
                    )
                requests.append(Request(prompt, who.model, max_new_tokens, stop=("\n",)))
        completions = iter(self._generator.generate(requests))
        replies = []
        for i, asked in enumerate(questions):
            if i not in recalled:
                replies.append(Reply(next(completions).text.strip(), None))
                continue
            candidates = recalled[i].candidates
            answers = [next(completions) for _ in candidates]
            taken = surest(candidates, answers)
            text, answerer = answers[taken].text.strip(), candidates[taken]
            source = answerer.source.task.title if answerer.source is not None else None
            replies.append(Reply(text, versions[asked.version].id, source, answerer.probability))
        return replies

    def is_base(self, version: str | None) -> bool:
        """Whether the base answers, because it was made the active one or is named."""
        return version == BASE or (version is None and bool(self.store.ids()) and self.store.active is None)

    def topic(self, topic: str, version: str | None = None) -> tuple[str, str]:
        """A topic in a version's own spelling, and a word to the user where no title is like it; None is the active."""
        if self.is_base(version):
            return topic, ""
        version = self.store.active if version is None else version  # Another one, perhaps, than when last asked.
        if version not in self._titles:
            learnt = self.store.get(version).knowledge
            titles = [*(item.task.title for item in learnt.learnt), *(item.title for item in learnt.documents)]
            self._titles[version] = set(titles)
        known = self._titles[version]
        if not topic or not known:
            return topic, ""
        alike = next((title for title in sorted(known) if title.casefold() == topic.casefold()), None)
        if alike is not None:
            return alike, ""
        return topic, f"Nothing that was learnt is titled '{topic}'. {nearest(topic, known)}"

    def recall(self, version: Version) -> Recall:
        """Who answers for a version; its weights are read when a question needs them."""
        if version.id not in self._recalls:
            from selfedit.memory import DEFAULT_ROUTER
            from selfedit.memory.recall import Recall

            check_base(version, self.base.fingerprint, self.model_name)
            router = version.settings.get("router", DEFAULT_ROUTER)
            self._recalls[version.id] = Recall(version.knowledge, Model(self.base.ref), self._adapter, router)
        return self._recalls[version.id]

    def _adapter(self, sha256: str) -> Adapter:
        """An adapter of the store, from memory if it was used of late."""
        if sha256 not in self._adapters:
            self._adapters[sha256] = self.store.adapters.load(sha256)
            if len(self._adapters) > _LOADED:
                self._adapters.popitem(last=False)
        self._adapters.move_to_end(sha256)
        return self._adapters[sha256]

    def feedback(self, given: Sequence[Feedback]) -> list[Feedback]:
        """Store what people said of answers, for the next update, and return it as it is stored.

        Safe to do again: what a person last said about a question already is not stored twice.

        Args:
            given: question, and the right answer or none; `who` left empty is whoever acts.
        """
        return self.store.add_feedback(given)

    def learn_feedback(self, *, again: bool = False, **settings: Any) -> FeedbackResult:
        """Make the update out of all feedback that none has seen to, trained as the active version was.

        Args:
            again: also what an update saw to that is not in force: it was rejected, rolled back, or waits.
            settings: fields of `selfedit.learn.config.LearnConfig`.
        """
        from selfedit.experiments.named_policy import check_policy
        from selfedit.learn.corrections import open_cases
        from selfedit.learn.feedback import FeedbackResult
        from selfedit.learn.prepare import read_keep

        store = self.store
        active = store.get() if store.active is not None else None
        before = {} if active is None else _kept(active, (*_HOW, *_ASKED_SO))
        config = learn_config(**(before | settings))
        keep = read_keep(config.keep)
        check_policy(config.policy)
        policy = self._policy(config.policy)
        if active is not None:
            check_base(active, self.base.fingerprint, self.model_name)
        cases = open_cases(store, again=again)
        if not any(case.newest.answer for case in cases):
            return FeedbackResult(unanswered=tuple(case.newest for case in cases))
        return self._learner.learn_feedback(config, policy, keep, again=again)

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return self.store.versions()

    def show(self, version: str | None = None) -> Version:
        """One version with all that made it; None is the active one."""
        return self.store.get(version)

    def use(self, version: str | None) -> None:
        """Make a version, or with None the base, the active one: it answers, and the next `learn` goes on from it."""
        self.store.activate(version, "use")

    def rollback(self, steps: int = 1) -> str | None:
        """Make the version that lies `steps` below the active one active, and return its id; None is the base."""
        store = self.store
        if (id := store.active) is None:
            raise UserError(f"No version is active in {store.path}, so that nothing can be rolled back.")
        path = [*ancestors(store.heads(), id), None]
        if not 1 <= steps < len(path):
            raise UserError(f"{id} lies {len(path) - 1} steps above the base: roll back by 1 to {len(path) - 1}.")
        store.activate(path[steps], "rollback")
        return path[steps]

    def pending(self) -> list[Version]:
        """What waits for approval, oldest first."""
        return self.store.versions("p")

    def approve(self, id: str, adapter: str = "") -> Version:
        """Let what waits take effect; see `selfedit.store.approve`."""
        return approve(self.store, id, adapter)

    def reject(self, id: str, why: str) -> Version:
        """Set aside what waits."""
        return reject(self.store, id, why)

    def forget(self, document: str, **settings: Any) -> Change:
        """Commit a version that never saw a document, named by its title, path or file name."""
        from selfedit.learn.change import forget, matching

        active = self.store.get()
        matching(active.knowledge, document)
        config = learn_config(**(_kept(active, (*_HOW, *_ASKED_SO)) | settings))
        with self._updating(config, f"forget {document}") as updater:
            return forget(self.store, updater, config, document)

    def consolidate(self, memory: str = "joint", **settings: Any) -> Change:
        """Commit a version that knows the same in another memory, such as one adapter for all, if the gates let it."""
        from selfedit.learn.change import check_consolidates, consolidate
        from selfedit.learn.prepare import read_keep

        active = self.store.get()
        config = learn_config(**(_kept(active, _WHATEVER_MEMORY) | {"memory": memory} | settings))
        check_consolidates(active, memory)
        read_keep(config.keep)
        with self._updating(config, "consolidate") as updater:
            return consolidate(self.store, updater, config, memory)

    def diff(self, before: str, after: str, *, ask: bool = True) -> Difference:
        """What came and went between two versions ("base" is one, too) and, if `ask`, which answers changed."""
        from selfedit.learn.change import difference

        one, other = (Knowledge() if id == BASE else self.store.get(id).knowledge for id in (before, after))
        if not ask:
            return difference(one, other, None)
        with self._updating(learn_config(), "diff", before if after == BASE else after) as updater:
            return difference(one, other, updater)

    def drift(self, *, measure: bool = True) -> list[tuple[Version, tuple[DriftFigures, ...]]]:
        """How the active version and those that it builds on answer a fixed set of prompts, oldest first.

        Args:
            measure: ask what was not asked before, which loads the model; otherwise what is known is returned.
        """
        store = self.store
        if store.active is None:
            return []
        known = {head.id: head for head in store.heads()}
        path = [known[id] for id in reversed(ancestors(list(known.values()), store.active)) if id in known]
        if not measure:
            return [(head, store.known_drift(head)) for head in path]
        from selfedit.learn.drift import drift_of
        from selfedit.search.drift import DriftMeter

        found = []
        with self.progress.bar("Asking the fixed prompts", len(path), "versions") as bar:
            for head in path:
                version = store.get(head.id)
                recall, base = self.recall(version), Model(self.base.ref)
                meter = DriftMeter(self._generator, self.domain.ask, base)
                found.append((head, drift_of(meter, store, version, recall, base, recall.only)))
                bar.advance()
        return found

    def _updating(self, config: LearnConfig, what: str, version: str | None = None) -> AbstractContextManager[Updater]:
        return self._learner.updating(config, what, version)

    def export(self, version: str | None, target: str | Path, *, merged: bool = False) -> Path:
        """Write a version as a PEFT folder, or merged into full weights."""
        from selfedit.store.export import check_target, export

        chosen = self.store.get(version)
        check_target(self.store, Path(target).expanduser())
        folder = None
        if merged:
            check_base(chosen, self.base.fingerprint, self.model_name)
            folder = self.base.folder
        return export(self.store, chosen, Path(target), merged=merged, base_folder=folder)

    def export_vllm(self, versions: Sequence[str], target: str | Path) -> VllmExport:
        """Write versions as `vllm serve --lora-modules` takes them; the active one, if none is named."""
        from selfedit.store.export_vllm import export_vllm

        chosen = [self.store.get(version) for version in dict.fromkeys(versions)] or [self.store.get(None)]
        return export_vllm(self.store, chosen, Path(target))

    @cached_property
    def _learner(self) -> Learner:
        from selfedit.learn.start import Learner

        return Learner(self.base, self._store_path, self.progress, self._generator, self._actor)

    @cached_property
    def prompter(self) -> Prompter:
        """From words to the model's tokens."""
        from selfedit.compose import make_prompter

        return make_prompter(self.base)

    @cached_property
    def domain(self) -> KnowledgeDomain:
        """How questions are put."""
        from selfedit.domains.knowledge import KnowledgeDomain

        return KnowledgeDomain(self.prompter, self.base.stop_token_ids[0])

    @cached_property
    def _generator(self) -> Generator:
        from selfedit.generate import make_generator

        return make_generator("batched", self.base)


def _kept(version: Version, names: Sequence[str]) -> dict[str, Any]:
    """Settings of a version that hold for what is made of it, too."""
    return {name: value for name, value in version.settings.items() if name in names}
