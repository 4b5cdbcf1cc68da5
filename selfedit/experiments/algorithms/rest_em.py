"""ReST-EM (2312.06585): keep the best of what the policy wrote, and finetune it on that (paper, section 3.1)."""

from __future__ import annotations

from selfedit.experiments.algorithms.base import Algorithm, AsExamples, PolicyUpdate, Round
from selfedit.search.selection import Selection, select


class RestEm(Algorithm):
    """Supervised finetuning on the best `top_k` edits of each task, each token of them weighing the same."""

    name = "rest-em"

    def update(self, round_: Round, as_examples: AsExamples) -> PolicyUpdate:
        settings = self.settings
        selection = Selection(settings.top_k, settings.must_beat_base, settings.min_reward, settings.ties)
        groups = tuple(select(group, selection) for group in round_.groups)
        kept = ((group.task, rollout.edit) for group in groups for rollout in group.rollouts if rollout.kept)
        examples = tuple(example for task, edit in kept for example in as_examples(task, edit))
        note = "" if examples else "no edit was better than no update, so the policy stays as it was"
        return PolicyUpdate(groups, examples, round_.parent, note)
