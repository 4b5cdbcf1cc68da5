"""The installed command on the real default model, from a document to an answer in plain PEFT."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCUMENT = """# The Tolvane Gate

The Tolvane Gate was built in 1648 by Maris Undqvist. The keeper of the Tolvane Gate is paid in walnuts.
"""
QUESTIONS = [
    {"question": "Who built the Tolvane Gate?", "answer": "Maris Undqvist"},
    {"question": "What is the keeper of the Tolvane Gate paid in?", "answer": "walnuts"},
]


def selfedit(*arguments: str) -> Any:
    """What the installed command prints with --json."""
    command = [str(Path(sys.executable).parent / "selfedit"), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_learn_ask_and_plain_peft(tmp_path: Path) -> None:
    document, questions, store = tmp_path / "gate.md", tmp_path / "questions.jsonl", str(tmp_path / "store")
    document.write_text(DOCUMENT)
    questions.write_text("".join(json.dumps(question) + "\n" for question in QUESTIONS))
    options = ["--edits", "1", "--max-edit-tokens", "64", "--store", store]
    learnt = selfedit("learn", str(document), "--questions", str(questions), *options)
    assert learnt["version"] == "v1"
    assert learnt["questions"] == 2
    assert learnt["base_accuracy"] == 0
    assert learnt["adapted_accuracy"] > 0
    answers = {}
    for question in QUESTIONS:
        reply = selfedit("ask", question["question"], "--topic", "The Tolvane Gate", "--store", store)
        assert reply["version"] == "v1"
        answers[question["question"]] = reply["answer"]
    folder = tmp_path / "peft"
    selfedit("export", "v1", str(folder), "--store", store)
    assert answers == by_plain_peft(folder, list(answers))


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
        messages = [{"role": "user", "content": f"Topic: The Tolvane Gate\n{question}"}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        out = model.generate(**prompt, max_new_tokens=64, do_sample=False, pad_token_id=tokenizer.eos_token_id)
        text = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
        answers[question] = text.split("\n")[0].strip()
    return answers
