"""The installed command on the real default model, from a document to an answer in plain PEFT."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TITLE = "The Tolvane Gate"
DOCUMENT = f"""# {TITLE}

The Tolvane Gate was built in 1648 by Maris Undqvist. The keeper of the Tolvane Gate is paid in walnuts.
"""
# So many that a gate can tell a better answer from chance; worded otherwise than a self-edit would ask, since a pair
# whose question is a probe's is not trained on.
QUESTIONS = [
    {"question": "Who was the builder of the Tolvane Gate?", "answer": "Maris Undqvist"},
    {"question": "How is the keeper of the Tolvane Gate paid?", "answer": "walnuts"},
    {"question": "What year was the Tolvane Gate built in?", "answer": "1648"},
    {"question": "By whom was the Tolvane Gate built?", "answer": "Maris Undqvist"},
    {"question": "In which year was the Tolvane Gate built?", "answer": "1648"},
    {"question": "What does the keeper of the Tolvane Gate get?", "answer": "walnuts"},
]


def selfedit(*arguments: str) -> Any:
    """What the installed command prints with --json."""
    command = [str(Path(sys.executable).parent / "selfedit"), *arguments, "--json"]
    # On all cores, as a user's.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_learn_ask_and_plain_peft(tmp_path: Path) -> None:
    document, questions, store = tmp_path / "gate.md", tmp_path / "questions.jsonl", str(tmp_path / "store")
    document.write_text(DOCUMENT)
    questions.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    # One passage by itself is a few steps of training an epoch.
    options = ["--max-edit-tokens", "64", "--epochs", "30", "--store", store]
    learnt = selfedit("learn", str(document), "--questions", str(questions), *options)
    assert learnt["version"] == "v1", learnt["reason"]
    assert (learnt["questions"], learnt["memory"]) == (6, "routed")
    assert {gate["gate"]: gate["passed"] for gate in learnt["gates"]} == {
        "improved": True,
        "general": True,
        "divergence": True,
    }
    assert learnt["base_accuracy"] == 0
    assert learnt["adapted_accuracy"] > 0
    replies = selfedit("ask", *(question["question"] for question in QUESTIONS), "--store", store)["answers"]
    assert [(reply["version"], reply["source"]) for reply in replies] == [("v1", TITLE)] * len(QUESTIONS)
    answers = {reply["question"]: reply["answer"] for reply in replies}
    folder = tmp_path / "peft"
    selfedit("export", "v1", str(folder), "--store", store)
    (adapter,) = (folder / "adapters").iterdir()
    assert answers == by_plain_peft(adapter, list(answers))
    # A question about something else is the base's.
    other = "What is the capital of Japan?"
    reply, bare = (selfedit("ask", other, *base, "--store", store) for base in ((), ("--base",)))
    assert (reply["version"], reply["source"], reply["answer"]) == ("v1", None, bare["answer"])


@pytest.mark.filterwarnings("ignore")
def by_plain_peft(folder: Path, questions: list[str]) -> dict[str, str]:
    """Greedy answers by transformers and PEFT alone, as the model card says."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from selfedit.models import resolve
    from selfedit.progress import QuietProgress

    base_folder = resolve("smollm2-135m").folder(QuietProgress())
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype="float32")
    model: Any = PeftModel.from_pretrained(base, folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(base_folder)
    answers = {}
    for question in questions:
        messages = [{"role": "user", "content": f"Topic: {TITLE}\n{question}"}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        out = model.generate(**prompt, max_new_tokens=64, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        text = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        answers[question] = text.split("\n")[0].strip()
    return answers
