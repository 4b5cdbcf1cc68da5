from __future__ import annotations

from pathlib import Path

import pytest

from selfedit.audit import KEY_FILE, make_key


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The public half of a key that signs from now on."""
    path = tmp_path / "keys" / "audit.key"
    path.parent.mkdir()
    make_key(path)
    monkeypatch.setenv(KEY_FILE, str(path))
    return path.with_name("audit.key.pub")
