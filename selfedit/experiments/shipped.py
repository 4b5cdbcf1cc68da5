"""The configurations that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from selfedit.errors import UserError, nearest
from selfedit.text.reading import nearest_file

FOLDER = Path(str(files("selfedit") / "data" / "configs"))


def shipped_configs() -> dict[str, str]:
    """What each of them is for, in its own words, by name."""
    configs = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        comments = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            comments.append(line.lstrip("# "))
        configs[path.stem] = " ".join(comments)
    return configs


def find_config(path: Path) -> Path:
    """A configuration's file: the path itself, or the shipped one of that name.

    Raises:
        UserError: there is neither; the nearest is named.
    """
    if path.exists():
        return path
    names = shipped_configs()
    if str(path) in names:
        return FOLDER / f"{path}.yaml"
    if path.suffix or path.parent != Path():
        raise UserError(f"There is no configuration {path}. {nearest_file(path)} `selfedit configs` lists others.")
    raise UserError(f"There is no configuration {path}. {nearest(str(path), names)} `selfedit configs` lists them.")


def copy_config(name: str, folder: Path) -> Path:
    """A shipped configuration copied into a folder, to be changed there.

    Raises:
        UserError: there is none of that name, or the folder has such a file.
    """
    names = shipped_configs()
    if name not in names:
        raise UserError(f"There is no shipped configuration '{name}'. {nearest(name, names)}")
    target = folder / f"{name}.yaml"
    if target.exists():
        raise UserError(f"{target} is there already: name another folder, or remove it.")
    folder.mkdir(parents=True, exist_ok=True)
    target.write_bytes((FOLDER / f"{name}.yaml").read_bytes())
    return target
