"""The outer loop: rounds of the search, after each of which the policy learns from what came out (paper, algorithm 1).

contexts -> propose (K edits) -> evaluate_edits (S adapters an edit) -> rank -> Algorithm -> finetune -> gates -> policy
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from selfedit.documents.general import general_tasks, general_texts
from selfedit.errors import UserError
from selfedit.experiments.algorithms import Algorithm, Round, make_algorithm
from selfedit.experiments.conditions import Conditions
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData
from selfedit.experiments.policies import ROOT, PolicyNode, PolicyTree
from selfedit.experiments.runs.policy_folders import PolicyFolders
from selfedit.experiments.runs.records import RoundRecord, get_round
from selfedit.experiments.runs.stages import round_stage, single
from selfedit.experiments.tracking import Tracker
from selfedit.files.hashing import update_sha256
from selfedit.files.journal import Journal
from selfedit.gates import Compared, GateCase, first_reason, make_gate
from selfedit.progress import Progress
from selfedit.rewards import make_reward
from selfedit.search.selection import finalists, make_groups, rank
from selfedit.search.stages import Stages
from selfedit.search.step import OnChunk, Search
from selfedit.seeds import training_seeds
from selfedit.types import Answer, Evaluation, Example, Group, Model, Recipe, SelfEdit, Task, Trial, pooled


class TrainRun:
    """A run that can be killed at any point: done alike again, it goes on with what is missing.

    Args:
        base: the model that the run begins with.
        folders: where the policies are kept.
        tracker: is told each round's figures.
    """

    def __init__(
        self,
        stages: Stages,
        config: TrainConfig,
        base: Model,
        folders: PolicyFolders,
        journal: Journal,
        progress: Progress,
        tracker: Tracker,
    ) -> None:
        self._stages, self._config, self._base, self._folders = stages, config, base, folders
        self._journal, self._progress, self._tracker = journal, progress, tracker
        self._algorithm: Algorithm = make_algorithm(config.outer)
        self._gates = [make_gate(name) for name in config.outer.gates]
        self._conditions = Conditions(stages, config, journal, progress)
        self._search: Search = self._conditions.search

    def run(self, data: RunData) -> None:
        """All rounds; the validation passages are tried with fresh edits before the first and after each."""
        policies = PolicyTree()
        self._journal.put("tasks", "v", data.validation)
        if data.validation:
            self._conditions.baselines(data.validation, self._base)
        self._validate(data.validation, 0, self._base)
        for number, tasks in enumerate(data.rounds, 1):
            self._journal.put("tasks", str(round_stage(number)), tasks)
            node = self._round(number, tasks, policies, data.validation)
            if node is not None:
                policies = policies.add(node)
            self._validate(data.validation, number, self._model(policies, policies.newest))

    def _model(self, policies: PolicyTree, id: str) -> Model:
        """What the run began from, with a policy, and those that it lies on, on top."""
        return self._base.merge(*map(self._folders.load, policies.path(id)))

    def _inner_model(self, model: Model) -> Model:
        """What adapters are trained on: the policy itself, as in the paper, or always the first model."""
        return model if self._config.outer.inner_from == "policy" else self._base

    def _validate(self, tasks: Sequence[Task], number: int, model: Model) -> list[Trial]:
        """Train on edits that the policy of round `number` writes about the validation passages, and ask."""
        condition = "policy" if number else "own"
        if not tasks or not ({condition} & set(self._config.evaluation.conditions) or self._gates):
            return []
        stage = single("validation", number)
        edits = self._conditions.edits(stage, tasks, model)
        trials = self._conditions.adapted(stage, tasks, edits, self._inner_model(model))
        if afters := [trial.after for trial in trials if trial.after is not None]:
            figures = {name: fmean(getattr(after, name) for after in afters) for name in ("accuracy", "gold_logprob")}
            self._tracker.log(number, {f"validation/{name}": value for name, value in figures.items()})
        return trials

    def _round(
        self, number: int, tasks: Sequence[Task], policies: PolicyTree, validation: Sequence[Task]
    ) -> PolicyNode | None:
        """One round: the policy that came of it, or None if nothing was good enough to learn from.

        Raises:
            UserError: no self-edit of any passage could be used.
        """
        ended = get_round(self._journal, number, policies)
        if ended is not None:
            return ended.policy
        parent = self._algorithm.parent(policies)
        groups = self._search_edits(number, tasks, self._model(policies, parent))
        update = self._algorithm.update(Round(number, parent, policies, groups), self._stages.student.examples)
        rollouts = tuple(rollout for group in update.groups for rollout in group.rollouts)
        rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
        kept = sum(rollout.kept for rollout in rollouts)
        figures = {"reward/mean": fmean(rewards), "reward/best": max(rewards), "chosen": float(kept)}
        self._tracker.log(number, figures)
        self._progress.note(f"Round {number}: best reward {max(rewards):.3f}, {kept} edits to learn from.")
        node = None
        if update.examples:
            node, losses = self._next_policy(number, update.examples, update.parent, policies, figures, validation)
        note = update.note if node is None else node.refused
        if note:
            self._progress.note(f"Round {number}: {note}.")
        # The trials are recorded already.
        slim = tuple(replace(rollout, trials=()) for rollout in rollouts)
        sha256 = node.sha256 if node else ""
        record = RoundRecord(number, slim, sha256, losses if node else (), note, node)
        self._journal.put("round", str(round_stage(number)), record)
        return node

    def _search_edits(self, number: int, tasks: Sequence[Task], model: Model) -> tuple[Group, ...]:
        """The round's edits with their rewards."""
        outer, stage = self._config.outer, round_stage(number)
        edits: Sequence[SelfEdit] = self._conditions.edits(stage, tasks, model, outer.edits)
        model = self._inner_model(model)
        before = self._search.evaluate_base(str(stage), tasks, model, f"Asking without update, {stage}")
        if outer.screen is not None and outer.finalists is not None:
            proxy = make_reward(outer.screen, self._config.wording)
            untried = make_groups(tasks, edits, (), before)
            edits = [edit for group in untried for edit in finalists(group, proxy, outer.finalists)]
        training, seeds = self._config.inner.hyperparameters(), training_seeds(self._config.seed, outer.training_seeds)
        reward = self._stages.reward
        if reward.needs_training:
            label, show = f"Round {number}, adapters", self._best_so_far(number, tasks, edits, before)
            trials = self._search.evaluate_edits(str(stage), tasks, edits, model, training, seeds, label, show)
        else:
            trials = self._search.check_edits(str(stage), tasks, edits, training, seeds[0])
        groups = tuple(rank(group, reward) for group in make_groups(tasks, edits, trials, before))
        if all(rollout.reward is None for group in groups for rollout in group.rollouts):
            raise UserError(
                f"Round {number} has no usable self-edit: {trials[0].failure}. Try another policy.format, a lower "
                "policy.temperature or a larger model."
            )
        return groups

    def _best_so_far(
        self, number: int, tasks: Sequence[Task], edits: Sequence[SelfEdit], before: Sequence[Evaluation]
    ) -> OnChunk:
        """Shows, after each chunk of adapters, the best reward that any had since the command began."""
        trials: dict[str, list[Trial]] = {task.id: [] for task in tasks}
        task_of = {task.id: task for task in tasks}
        before_of = {evaluation.task_id: evaluation for evaluation in before}
        edits_of: dict[str, list[SelfEdit]] = {task.id: [] for task in tasks}
        for edit in edits:
            edits_of[edit.task_id].append(edit)
        best: dict[str, float] = {}

        def show(chunk: Sequence[Trial], count: str) -> None:
            for trial in chunk:
                trials[trial.task_id].append(trial)
            for id in {trial.task_id for trial in chunk}:  # The others' groups are as they were.
                (group,) = make_groups([task_of[id]], edits_of[id], trials[id], [before_of[id]])
                if rewards := [value for values in self._stages.reward.rewards(group) for value in values]:
                    best[id] = max(rewards)
            if best:
                self._progress.note(f"Round {number}, adapters {count}: best reward so far {max(best.values()):.3f}")

        return show

    def _next_policy(
        self,
        number: int,
        examples: tuple[Example, ...],
        parent: str,
        policies: PolicyTree,
        figures: dict[str, float],
        validation: Sequence[Task],
    ) -> tuple[PolicyNode, tuple[float, ...]]:
        """Finetune a policy, from what it was, and hold it against the gates; its losses with it."""
        stage = round_stage(number)
        node = PolicyNode(str(stage), parent, self._journal.get("policy", str(stage), str) or "", number, figures)
        model = self._model(policies, parent)
        if not node.sha256 or not self._folders.holds(node):
            recipe = Recipe(
                f"policy-{stage}", examples, self._config.outer.training.hyperparameters(), self._config.seed
            )
            label = f"Round {number}, finetuning the policy"
            policy = self._search.train(recipe, model, label, "outer.training.learning_rate")
            node = replace(node, sha256=update_sha256(policy))
            self._folders.save(node, policy)
            self._journal.put("policy", str(stage), node.sha256)
            self._search.done_with(recipe.id)
        policy = self._folders.load(node)
        self._tracker.log(number, {"policy/loss": policy.losses[-1]})
        if self._gates:
            node = replace(node, refused=self._refused(number, policies, parent, model.merge(policy), validation))
        return node, policy.losses

    def _refused(
        self, number: int, policies: PolicyTree, parent: str, candidate: Model, validation: Sequence[Task]
    ) -> str:
        """Why the gates do not let a policy take effect; empty if they do. It is held against its parent's validation.

        Where no adapter came of an edit, the model as it was answers, as it would for a user.
        """
        round_of_parent = next((node.round for node in policies.nodes if node.id == parent), 0)
        base = {e.task_id: e for e in self._conditions.unadapted(single("base"), validation, self._base)}
        tasks = {task.id: task for task in validation}
        cases, asked = [], []
        for trials in (
            self._validate(validation, round_of_parent, self._model(policies, parent)),
            self._validate(validation, number, candidate),
        ):
            cases.append(tuple(trial.after or base[trial.task_id] for trial in trials))
            asked.append([tasks[trial.task_id] for trial in trials])
        without = [base[task.id] for task in asked[1]]
        before, after = cases
        worths = (
            self._stages.reward.overall(asked[0], [base[task.id] for task in asked[0]], before),
            self._stages.reward.overall(asked[1], without, after),
        )
        what, than = (
            f"the policy of round {number}",
            f"the policy of round {round_of_parent}" if parent != ROOT else "the base",
        )
        margins = self._config.outer.margins.margins()
        case = GateCase(before, after, worths[0], worths[1], what=what, than=than, margins=margins)
        return first_reason(self._gates, self._with_rest(case, str(round_stage(number)), candidate)) or ""

    def _with_rest(self, case: GateCase, stage: str, candidate: Model) -> GateCase:
        """With what the policy does to all that it was not trained for, as far as a gate asks."""
        gates = set(self._config.outer.gates)
        if "general" in gates:
            rows = [self._general(name, model) for name, model in (("base", self._base), (stage, candidate))]
            case = replace(case, general=Compared(rows[0], rows[1]))
        if "divergence" in gates:
            texts = [(self._stages.prompter.text(text), candidate) for text in general_texts()]
            case = replace(case, divergence=fmean(self._stages.generator.divergence(texts, self._base)))
        return case

    def _general(self, name: str, model: Model) -> tuple[Answer, ...]:
        """A model's answers to the general questions."""
        recorded = self._journal.get("general", name, tuple[Answer, ...])
        if recorded is None:
            tasks = general_tasks()
            label, count = f"Asking general questions, {name}", sum(len(task.probes) for task in tasks)
            with self._progress.bar(label, count, "questions") as bar:
                evaluations = self._stages.general.evaluate([(task, model) for task in tasks], bar.advance)
            recorded = pooled(evaluations).answers
            self._journal.put("general", name, recorded)
        return recorded
