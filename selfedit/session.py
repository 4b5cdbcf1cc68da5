"""The Python interface: a base model and a store, to learn, ask and export with. The command line only calls this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfedit.errors import UserError, nearest
from selfedit.graders import GRADERS
from selfedit.learn.config import LearnConfig, learn_config
from selfedit.models import DEFAULT_MODEL, resolve
from selfedit.policies.formats import get_format
from selfedit.progress import Progress, QuietProgress
from selfedit.store import Store, check_base
from selfedit.types import Model, Version

if TYPE_CHECKING:
    from selfedit.domains.knowledge import KnowledgeDomain
    from selfedit.generate.base import Generator
    from selfedit.learn.prepare import Material, Sources
    from selfedit.learn.run import LearnResult
    from selfedit.models.load import BaseModel
    from selfedit.models.prompt import Prompter
    from selfedit.policies.file import FilePolicy

DEFAULT_STORE = Path(".selfedit")


@dataclass(frozen=True)
class Reply:
    """An answer, and the version that gave it; None is the base model."""

    answer: str
    version: str | None


@dataclass(frozen=True)
class Asked:
    """A question, to a version (None is the newest) or to the bare base, under a topic or none."""

    question: str
    version: str | None = None
    base: bool = False
    topic: str = ""


class Session:
    """A base model with a store of what it has learnt. The model is loaded when it is first needed.

    Args:
        model: a bundled name, a Hugging Face id, a folder or a .gguf file. None: the one that the store's newest
            version was made for, or else the default.
        store: a folder; made at the first `learn`.

    Raises:
        UserError: the model's name is unknown, here and in all methods where the user can mend what is wrong.
    """

    def __init__(
        self,
        model: str | None = None,
        store: str | Path = DEFAULT_STORE,
        device: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._store_path, self._device = Path(store), device
        self._progress = progress or QuietProgress()
        self._model_name = model
        self._models: dict[str, Model] = {}
        self._titles: dict[str | None, set[str]] = {}
        if model is not None:
            resolve(model).check()

    @property
    def store(self) -> Store:
        """The store, which must exist."""
        return Store.open(self._store_path)

    @cached_property
    def base(self) -> BaseModel:
        """The base model, loaded."""
        from selfedit.models.load import load

        return load(self.model_name, device=self._device, progress=self._progress)

    @property
    def model_name(self) -> str:
        """The base model's name."""
        if self._model_name is not None:
            return self._model_name
        if (self._store_path / "store.json").exists() and self.store.ids():
            return self.store.get().base.name
        return DEFAULT_MODEL

    def learn(self, paths: Sequence[str | Path], *, max_hours: float | None = None, **settings: Any) -> LearnResult:
        """Learn documents and commit a version, if it answers better than the base.

        Args:
            max_hours: refuse what would take longer by the estimate; None for no bound.
            settings: fields of `selfedit.learn.config.LearnConfig`.
        """
        from selfedit.learn.prepare import read_sources
        from selfedit.policies.file import FilePolicy

        # All that can be wrong without a model is found before one is loaded, and before a store is made.
        config = learn_config(**settings)
        GRADERS[config.grader]()  # A judge says here what it lacks.
        Store.check(self._store_path)
        sources = read_sources([Path(path) for path in paths], config)
        policy = FilePolicy(config.edits_from, get_format(config.format)) if config.edits_from is not None else None
        return self._learn(sources, config, policy, max_hours)

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

        for asked in questions:
            if not asked.question.strip():
                raise UserError('The question is empty. Write it in quotes: selfedit ask "Who ...?"')
        # What is wrong with a version is said before the model is loaded.
        versions = {asked.version: self.store.get(asked.version) for asked in questions if not asked.base}
        models = {None: Model(self.base.ref)} | {version.id: self._model(version) for version in versions.values()}
        requests = []
        for asked in questions:
            prompt = self._domain.ask(asked.question, asked.topic)
            if len(prompt) + max_new_tokens > self.base.context_window:
                raise UserError(
                    f"The question has {len(prompt)} tokens; with {max_new_tokens} for the answer it does not fit "
                    f"{self.model_name}'s window of {self.base.context_window}. Ask something shorter."
                )
            model = models[None if asked.base else versions[asked.version].id]
            requests.append(Request(prompt, model, max_new_tokens, stop=("\n",)))
        completions = self._generator.generate(requests)
        return [
            Reply(completion.text.strip(), None if asked.base else versions[asked.version].id)
            for asked, completion in zip(questions, completions, strict=True)
        ]

    def topic(self, topic: str, version: str | None = None) -> tuple[str, str]:
        """A topic in a version's own spelling, and a word to the user where no title is like it; None is the newest."""
        if version not in self._titles:
            learnt = self.store.get(version)
            titles = [*(task.title for task in learnt.tasks), *(document.title for document in learnt.documents)]
            self._titles[version] = set(titles)
        known = self._titles[version]
        if not topic or not known:
            return topic, ""
        alike = next((title for title in sorted(known) if title.casefold() == topic.casefold()), None)
        if alike is not None:
            return alike, ""
        return topic, f"Nothing that was learnt is titled '{topic}'. {nearest(topic, known)}"

    def _model(self, version: Version) -> Model:
        """The base under a version, whose weights are read once."""
        if version.id not in self._models:
            check_base(version, self.base.fingerprint, self.model_name)
            self._models[version.id] = Model(self.base.ref).with_update(self.store.adapter(version))
        return self._models[version.id]

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        return self.store.versions()

    def show(self, version: str | None = None) -> Version:
        """One version with all that made it; None is the newest."""
        return self.store.get(version)

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

    def _learn(
        self, sources: Sources, config: LearnConfig, policy: FilePolicy | None, max_hours: float | None
    ) -> LearnResult:
        from selfedit.compose import compose
        from selfedit.estimate import check_affordable
        from selfedit.learn.prepare import work_key
        from selfedit.learn.run import LearnRun

        base = self.base
        config, material = self._split(sources, config)
        if policy is not None:
            policy.check(material.tasks)
        if max_hours is not None:
            check_affordable(material, config, self._count_tokens, base.parameters, max_hours)
        key = work_key(material, config, base.fingerprint, GRADERS[config.grader]().identity)
        Store.check(self._store_path, self._adapter_bytes(config))
        store = Store.open(self._store_path, create=True)
        with store.journal(key) as journal:
            generator = self._generator if config.generator == "batched" else None
            stages = compose(base, config.composition, self._progress.note, policy, generator)
            run = LearnRun(stages, store, journal, Model(base.ref), config, self._progress)
            result = run.run(material)
            store.clear_journal(key)
        return result

    def _split(self, sources: Sources, config: LearnConfig) -> tuple[LearnConfig, Material]:
        """The material in passages that fit the model's window, and the settings with the length that they have."""
        from selfedit.learn.prepare import split_sources
        from selfedit.learn.window import check_questions, passage_limit

        window = self.base.context_window
        limit = passage_limit(sources, config, self._prompter, window)
        if limit < config.passage_tokens:
            self._progress.note(
                f"Passages have at most {limit} tokens instead of {config.passage_tokens}: with the prompt and what "
                f"is written about them, longer ones do not fit the model's window of {window}."
            )
        material = split_sources(sources, limit, self._count_tokens)
        if material.cut_paragraphs:
            self._progress.note(f"{material.cut_paragraphs} paragraphs were longer than {limit} tokens and were split.")
        check_questions(material, config, self._domain, window)
        return config.model_copy(update={"passage_tokens": limit}), material

    def _count_tokens(self, text: str) -> int:
        return len(self._prompter.encode(text))

    def _adapter_bytes(self, config: LearnConfig) -> int:
        """The size on disk of an adapter, by which a full disk is found before the work and not after it."""
        from selfedit.multilora.model import layer_shapes, resolve_targets

        final = config.final_training
        layers = resolve_targets(self.base.model, final.target_modules)
        return sum(4 * final.rank * sum(shape) for shape in layer_shapes(self.base.model, layers).values())

    @cached_property
    def _prompter(self) -> Prompter:
        from selfedit.compose import make_prompter

        return make_prompter(self.base)

    @cached_property
    def _domain(self) -> KnowledgeDomain:
        from selfedit.domains.knowledge import KnowledgeDomain

        return KnowledgeDomain(self._prompter, self.base.stop_token_ids[0])

    @cached_property
    def _generator(self) -> Generator:
        from selfedit.generate import make_generator

        return make_generator("batched", self.base)
