"""From a checkout of the paper's official code: its wording for `policy.prompts`, its published edits as JSONL.

python -m benchmarks.paper_files CHECKOUT DIR

Nothing of it is in this repository. The templates are read as text, no code of the checkout runs.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

_FORMATS = "MAKE_SQUAD_DATA_TEMPLATES_BASE"
_ANSWER, _GRADE = "SQUAD_ANSWER_TEMPLATE_BASE", "SQUAD_GRADE_TEMPLATE"


def constant(file: Path, name: str) -> Any:
    """The value of a constant in a Python file."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return ast.literal_eval(node.value)  # type: ignore[attr-defined]
    raise typer.BadParameter(f"{file} has no {name}")


def wording(source: Path) -> dict[str, Any]:
    """The official templates under our names of places."""
    formats: dict[str, str] = constant(source / "data_generation" / "make_squad_data.py", _FORMATS)
    answer: str = constant(source / "utils.py", _ANSWER).replace("{question}", "Topic: {title}\n{question}")
    # They have no form with the passage in context; ours puts it above.
    return {
        "writing": {name: {"request": text.replace("{context}", "{passage}")} for name, text in formats.items()},
        "asking": {"question": answer, "in_context": f"{{passage}}\n\n{answer}", "stop": []},
        "judging": constant(source / "utils.py", _GRADE).replace("{pred}", "{answer}"),
    }


def rows(file: Path) -> list[dict[str, str]]:
    """A row for each published edit of a file, passage by passage."""
    items = json.loads(file.read_text(encoding="utf-8"))
    return [
        {"title": item["title"], "context": item["context"], "self_edit": text}
        for item in items
        for text in item["completions"]
        if text.strip()
    ]


def main(
    checkout: Annotated[Path, typer.Argument(help="Of Continual-Intelligence/SEAL.")],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
) -> None:
    """Write prompts.yaml, and base.jsonl, iter1.jsonl, iter2.jsonl and gpt4_1.jsonl."""
    folder = checkout / "knowledge-incorporation"
    out.mkdir(parents=True)
    words = wording(folder / "src")
    (out / "prompts.yaml").write_text(yaml.safe_dump(words, allow_unicode=True, sort_keys=False), encoding="utf-8")
    for name in ("base", "iter1", "iter2", "gpt4_1"):
        edits = rows(folder / "data" / "synthetic_data" / "eval" / f"{name}_val.json")
        text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in edits)
        (out / f"{name}.jsonl").write_text(text, encoding="utf-8")
        typer.echo(f"{name}: {len(edits)} edits")


if __name__ == "__main__":
    typer.run(main)
