"""The model card of a version: what it learnt, what that was worth, who says so, and how to load it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from selfedit.files.serialize import encode
from selfedit.text.harmless import one_line
from selfedit.types import Version

_ASKED_BY = {
    "file": "a question file that the user gave",
    "documents": "the documents' own question section or file",
    "model": "the model itself, which wrote them from the documents",
    "feedback": "written by people who saw wrong answers",
}

_TAKE_OUT = """## How to load it

In this store it is what `selfedit ask --version {id}` answers by. `selfedit export {id} DIR` writes PEFT folders."""

_ADAPTER_CODE = """from peft import PeftModel
from transformers import AutoModelForCausalLM
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "THIS_FOLDER")"""

_MERGED_CODE = """from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")"""


def card(version: Version, *, merged: bool = False, exported: bool = False) -> str:
    """Write the README.md of a version as Markdown.

    Args:
        merged: it is about full weights, with the adapter added in.
        exported: it lies beside the weights, and not in the store.
    """
    kind = "full weights with a LoRA adapter merged in" if merged else "a LoRA adapter"
    if _is_routed(version):
        kind = "a set of LoRA adapters, one a passage,"
    sections = [
        _front_matter(version, merged),
        f"# {_line(version.base.name)}, {version.id}\n\n"
        f"This is {kind} that selfedit made on {version.created} in "
        f"{version.seconds:.0f} s: the model wrote finetuning data from the documents below and was trained on it.",
        _learnt(version),
        _worth(version),
        _gates(version),
        _made(version),
        _loading(version, merged) if exported else _TAKE_OUT.format(id=version.id),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(version: Version, merged: bool) -> str:
    # JSON's strings are YAML's as well, whatever the name of a model may hold.
    lines = [
        "---",
        f"base_model: {json.dumps(version.base.name)}",
        f"library_name: {'transformers' if merged else 'peft'}",
        "pipeline_tag: text-generation",
        "tags:",
        *(f"- {tag}" for tag in ("selfedit", "self-adaptation", *(() if merged else ("lora",)))),
        "---",
    ]
    return "\n".join(lines)


def _learnt(version: Version) -> str:
    rows = [
        f"- **{_line(document.title)}** (`{_code(Path(document.path).name)}`), sha256 `{document.sha256}`"
        for document in version.documents
    ]
    parent = f"\n\nIt builds on version {version.parent} of the same store." if version.parent else ""
    knowledge = version.knowledge
    memory = knowledge.memory or "of an earlier release"
    known = (
        f"\n\nAll that it knows: {len(knowledge.learnt)} passages of {len(knowledge.documents)} documents, in "
        f"{len(knowledge.adapters)} adapter(s), memory: {memory}."
    )
    heading = "What it forgot" if version.action == "forget" else "What it learnt"
    return f"## {heading}\n\n{chr(10).join(rows) or 'No document is on record.'}{parent}{known}"


def _gates(version: Version) -> str:
    """What the gates saw: what the update did to all that is not new."""
    heading = "## What it did to the rest\n\n"
    if not version.gates:
        return f"{heading}What else the model knew or could do before was not measured; it may have suffered."
    rows = [f"- {figure.gate}: {_line(figure.text)}" for figure in version.gates]
    scale = f"\n\nThe update was made weaker for it, to {version.scale:.0%}." if version.scale < 1 else ""
    return heading + "\n".join(rows) + scale


def _worth(version: Version) -> str:
    heading = "## What that was worth\n\n"
    if not version.questions:
        return f"{heading}Nobody asked any questions, so that it is not known whether it learnt anything."
    before, after = (round(share * version.questions) for share in (version.base_accuracy, version.adapted_accuracy))
    graders = ", ".join(sorted({evaluation.grader for evaluation in (*version.before, *version.after)}))
    text = (
        f"Answers without the documents at hand, to {version.questions} question(s) asked by "
        f"{_ASKED_BY[version.probe_source]}; graded by: {_line(graders)}.\n\n"
        "| | right | accuracy |\n|---|---|---|\n"
        f"| before | {before} of {version.questions} | {version.base_accuracy:.1%} |\n"
        f"| with this version | {after} of {version.questions} | {version.adapted_accuracy:.1%} |"
    )
    return heading + "\n\n".join([text, *_caveats(version)])


def _caveats(version: Version) -> list[str]:
    """What keeps the numbers from meaning more than they do, as far as the record tells."""
    caveats = []
    if version.probe_source == "model":
        caveats.append(
            "Questions that a model writes for itself tend to be easy for it, and may be wrong; "
            "they say less than questions that a person asks."
        )
    if version.probes_dropped:
        caveats.append(f"{version.probes_dropped} more question(s) were dropped and are not counted.")
    asked = {answer.probe_id for evaluation in version.after for answer in evaluation.answers}
    chosen_by = {
        answer.probe_id for rollout in version.rollouts for after in rollout.afters for answer in after.answers
    }
    if asked & chosen_by:
        caveats.append(
            "The same questions served to choose among self-edits. The accuracy is therefore likely to be higher "
            "than on new questions about the same documents."
        )
    return caveats


def _made(version: Version) -> str:
    kept = [rollout.edit for rollout in version.rollouts if rollout.kept]
    lines = [
        f"- Base model: {_line(version.base.name)}, fingerprint `{version.base.fingerprint}`",
        f"- Self-edits: {len(version.rollouts)} tried, {len(kept)} kept",
    ]
    if kept:
        lines.append(f"- Seeds of the kept ones: {', '.join(str(edit.seed) for edit in kept)}")
    if version.losses:
        lines.append(
            f"- Training loss: {version.losses[0]:.4f} at the first step, {version.losses[-1]:.4f} at the last"
        )
    lines.append(f"- Software: {', '.join(f'{_line(k)} {_line(v)}' for k, v in version.software.items())}")
    settings = encode(version.settings, indent=2).decode()
    return f"## How it was made\n\n{chr(10).join(lines)}\n\nSettings:\n\n```json\n{settings}\n```"


def _loading(version: Version, merged: bool) -> str:
    if merged:
        return f"## How to load it\n\n```python\n{_MERGED_CODE}\n```"
    from selfedit.models import BUNDLED

    name = version.base.name
    where = f"`{_code(name)}`"
    if name in BUNDLED:
        bundled = BUNDLED[name]
        where = (
            f"`{bundled.hub_id}` (revision `{bundled.hub_revision}`) from the Hugging Face hub, which "
            "`AutoPeftModelForCausalLM` finds by itself. It was trained on selfedit's copy of it, which was "
            f"dequantised from {bundled.quantisation} and so differs a little: for the very same answers take that, in "
            f"`~/.cache/selfedit/models/{name}` or under SELFEDIT_HOME"
        )
    return (
        f"## How to load it\n\n```python\n{_ADAPTER_CODE}\n```\n\n"
        f"{_FOLDERS[_is_routed(version)]}; `BASE` is {where}. It fits no other base.\n\n"
        "Ask it as it was trained: through the tokenizer's chat template, the user's message being `Topic: TITLE` on "
        "one line and the question on the next; without a template, `Topic: TITLE`, `Question: ...` and `Answer:`, a "
        "line each."
    )


_FOLDERS = {
    False: "`THIS_FOLDER` is the folder of this file",
    True: "`THIS_FOLDER` is one of the folders under `adapters`; `routes.json` says which passage each answers for, "
    "and a question about none of them is the base's; a `correction` answers its own questions and no others",
}


def _is_routed(version: Version) -> bool:
    # By its name: what memories are is not known here.
    return version.knowledge.memory == "routed"


def _line(text: str) -> str:
    """Text as one line of plain Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", one_line(" ".join(text.split())))


def _code(text: str) -> str:
    """Text that goes between backticks."""
    return one_line(" ".join(text.replace("`", "'").split()))
