"""The outer loop. Each round: write, train, ask, keep the best, finetune the policy on it, merge (paper, algorithm 1).

contexts -> Policy.propose (K edits) -> Trials (S adapters an edit) -> Reward -> rank -> finetune -> merged policy
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import fmean

from selfedit.errors import UserError
from selfedit.experiments.algorithms.rest_em import rank, screened
from selfedit.experiments.compare import Comparison
from selfedit.experiments.config import TrainConfig
from selfedit.experiments.data import RunData
from selfedit.experiments.runs.records import RoundRecord
from selfedit.experiments.stages import OuterStages
from selfedit.experiments.tracking import Tracker
from selfedit.experiments.trials import OnChunk, Trial, fingerprint, make_jobs
from selfedit.files.peft_folder import load_adapter, save_adapter
from selfedit.multilora.merge import merged
from selfedit.progress import Progress
from selfedit.rewards import make_reward
from selfedit.search.training import train_one
from selfedit.store import Journal
from selfedit.types import Adapter, Evaluation, Recipe, SelfEdit, Task


class TrainRun:
    """A run that can be killed at any point: done alike again, it goes on with what is missing.

    Args:
        folder: where the policies go, one PEFT folder a round.
        tracker: is told each round's figures.
    """

    def __init__(
        self,
        stages: OuterStages,
        config: TrainConfig,
        folder: Path,
        journal: Journal,
        progress: Progress,
        tracker: Tracker,
    ) -> None:
        self._stages, self._config, self._folder, self._tracker = stages, config, folder, tracker
        self._journal, self._progress = journal, progress
        self._compare = Comparison(stages, config, journal, progress)

    def run(self, data: RunData) -> None:
        """All rounds; the validation passages are tried with fresh edits before the first and after each."""
        policies: list[Adapter] = []
        self._journal.put("tasks", "v", data.validation)
        self._validate(data.validation, policies, 0)
        for number, tasks in enumerate(data.rounds, 1):
            self._journal.put("tasks", f"r{number}", tasks)
            policy = self._round(number, tasks, policies)
            if policy is not None:
                policies.append(policy)
            self._validate(data.validation, policies, number)

    def _validate(self, tasks: Sequence[Task], policies: Sequence[Adapter], number: int) -> None:
        """Train on edits that the policy of round `number` writes about the validation passages, and ask."""
        if not tasks:
            return
        settings = self._config.evaluation
        if number == 0:
            self._compare.baselines(tasks)
        if ("policy" if number else "own") not in settings.conditions:
            return
        edits = self._compare.edits(f"v{number}", tasks, settings.edits, self._stages.writer, policies)
        with self._inner_base(policies):
            trials = self._compare.adapted(f"v{number}", tasks, edits)
        afters = [trial.after for trial in trials if trial.after is not None]
        if afters:
            accuracy, logprob = (
                fmean(getattr(after, name) for after in afters) for name in ("accuracy", "gold_logprob")
            )
            self._tracker.log(number, {"validation/accuracy": accuracy, "validation/gold_logprob": logprob})

    def _round(self, number: int, tasks: Sequence[Task], policies: Sequence[Adapter]) -> Adapter | None:
        """One round: what the policy gained, or None if no edit was good enough to learn from.

        Raises:
            UserError: no self-edit of any passage could be used.
        """
        outer, key = self._config.outer, f"r{number}"
        ended = self._journal.get("round", key, RoundRecord)
        if ended is not None:
            chosen = [entry.edit for entry in ended.ranked if entry.chosen]
            return self._finetune(number, chosen, policies) if chosen else None
        edits: Sequence[SelfEdit] = self._compare.edits(key, tasks, outer.edits, self._stages.writer, policies)
        with self._inner_base(policies):
            before = self._compare.unadapted(key, tasks)
            if outer.screen is not None and outer.finalists is not None:
                edits = screened(tasks, edits, before, make_reward(outer.screen), outer.finalists)
            jobs = make_jobs(tasks, edits, outer.training_seeds, self._config.seed)
            trials = self._compare.trials.run(
                key, f"Round {number}, adapters", jobs, self._best_so_far(number, tasks, edits, before)
            )
        if all(trial.after is None for trial in trials):
            raise UserError(
                f"Round {number} has no usable self-edit: {trials[0].failure}. Try another policy.format, a lower "
                "policy.temperature or a larger model."
            )
        ranked = tuple(rank(tasks, edits, trials, before, self._stages.reward, outer))
        chosen = [entry.edit for entry in ranked if entry.chosen]
        rewards = [entry.reward for entry in ranked if entry.reward is not None]
        self._tracker.log(number, {"reward/mean": fmean(rewards), "reward/best": max(rewards), "chosen": len(chosen)})
        self._progress.note(f"Round {number}: best reward {max(rewards):.3f}, {len(chosen)} edits to learn from.")
        if not chosen:
            note = "no edit was better than no update, so the policy stays as it was"
            self._progress.note(f"Round {number}: {note}.")
            self._journal.put("round", key, RoundRecord(number, ranked, "", (), note))
            return None
        policy = self._finetune(number, chosen, policies)
        self._tracker.log(number, {"policy/loss": policy.losses[-1]})
        self._journal.put("round", key, RoundRecord(number, ranked, fingerprint(policy), policy.losses))
        return policy

    def _best_so_far(
        self, number: int, tasks: Sequence[Task], edits: Sequence[SelfEdit], before: Sequence[Evaluation]
    ) -> OnChunk:
        """Shows, after each chunk of adapters, the best reward that any had since the command began."""
        task_of, edit_of = {task.id: task for task in tasks}, {edit.id: edit for edit in edits}
        base_of = {evaluation.task_id: evaluation for evaluation in before}
        rewards: list[float] = []

        def show(trials: Sequence[Trial], count: str) -> None:
            for trial in trials:
                if trial.after is not None:
                    task, edit = task_of[trial.task_id], edit_of[trial.edit_id]
                    rewards.append(self._stages.reward.value(task, edit, base_of[task.id], trial.after))
            if rewards:
                self._progress.note(f"Round {number}, adapters {count}: best reward so far {max(rewards):.3f}")

        return show

    def _finetune(self, number: int, chosen: Sequence[SelfEdit], policies: Sequence[Adapter]) -> Adapter:
        """Supervised finetuning of the policy on its best edits, from the policy as it was."""
        folder = self._folder / f"policy-r{number}"
        sha256 = self._journal.get("policy", f"r{number}", str)
        if sha256 is not None and folder.exists():
            return load_adapter(folder)
        examples = tuple(self._stages.policy.example(edit, self._stages.base.stop_token_ids) for edit in chosen)
        hyperparameters = self._config.outer.training.hyperparameters()
        recipe = Recipe(f"policy-r{number}", examples, hyperparameters, self._config.seed)
        label = f"Round {number}, finetuning the policy"
        with merged(self._stages.base.model, policies):
            policy = train_one(self._stages.inner, recipe, label, self._progress, "outer.training.learning_rate")
        folder.mkdir(exist_ok=True)
        save_adapter(policy, folder, self._stages.base.name, self._stages.base.has_conv1d)
        self._journal.put("policy", f"r{number}", fingerprint(policy))
        return policy

    def _inner_base(self, policies: Sequence[Adapter]) -> AbstractContextManager[object]:
        """The model that adapters are trained on: the policy itself, as in the paper, or always the first one."""
        if self._config.outer.inner_from == "policy":
            return merged(self._stages.base.model, policies)
        return nullcontext()
