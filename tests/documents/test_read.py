"""Reading files and folders: the registry, encodings, and errors."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from selfedit.documents import NotADocumentError, Section, read_documents
from selfedit.errors import UserError


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def message(*paths: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_documents(paths)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_plain_text(tmp_path: Path) -> None:
    path = put(tmp_path / "cell_biology-notes.TXT", b"\xef\xbb\xbfOne.\r\n\r\nTwo.\fThree.\r\n")
    [document] = read_documents([path])
    assert document.path == str(path)
    assert document.title == "Cell biology notes"
    assert document.sections == (Section("", "One.\n\nTwo.\n\nThree."),)
    assert document.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert document.probes == ()


def test_folder_is_recursive_sorted_and_skips_what_it_cannot_read(tmp_path: Path) -> None:
    put(tmp_path / "b.md", "b")
    put(tmp_path / "a" / "z.txt", "z")
    put(tmp_path / "a" / "deep" / "y.html", "<p>y</p>")
    for name in (".hidden.txt", ".git/config.txt", "questions.jsonl", "code.py", "Makefile"):
        put(tmp_path / name, "x")
    put(tmp_path / "empty.md", "")
    put(tmp_path / "blank.txt", " \n")
    put(tmp_path / "package.json", '{"name": "x"}')
    put(tmp_path / "broken.json", "{")
    put(tmp_path / "gone.txt", "x").unlink()
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    documents = read_documents([tmp_path])
    assert [document.sections[0].text for document in documents] == ["y", "z", "b"]


def test_each_file_counts_once(tmp_path: Path) -> None:
    a = put(tmp_path / "a.txt", "a")
    put(tmp_path / "b.txt", "b")
    documents = read_documents([a, tmp_path / "." / "a.txt", tmp_path, tmp_path])
    assert [document.title for document in documents] == ["A", "B"]


def test_order_is_that_of_the_paths(tmp_path: Path) -> None:
    paths = [put(tmp_path / f"{name}.txt", name) for name in "cab"]
    assert [document.title for document in read_documents(paths)] == ["C", "A", "B"]


def test_a_bad_file_in_a_folder_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "good.txt", "good")
    put(tmp_path / "latin.txt", "café".encode("latin1"))
    assert "latin.txt is not UTF-8" in message(tmp_path)


def test_wrong_encoding_names_the_offset_and_the_remedy(tmp_path: Path) -> None:
    path = put(tmp_path / "a b.txt", b"abc\xe9def")
    text = message(path)
    assert "byte 0xe9 at byte offset 3" in text
    assert f"`iconv -f latin1 -t utf-8 '{path}' > NEW`" in text


def test_utf16_names_its_encoding(tmp_path: Path) -> None:
    assert "iconv -f utf-16" in message(put(tmp_path / "a.txt", "hello".encode("utf-16")))


def test_binary(tmp_path: Path) -> None:
    assert "binary, not text (NUL at byte offset 2)" in message(put(tmp_path / "a.md", b"ab\0cd"))


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "json", "pdf"])
def test_empty(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("pypdf", reason="pypdf is not installed") if suffix == "pdf" else None
    assert f"a.{suffix} is empty" in message(put(tmp_path / f"a.{suffix}", ""))


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "json"])
def test_whitespace_only(tmp_path: Path, suffix: str) -> None:
    assert "holds only whitespace" in message(put(tmp_path / f"a.{suffix}", "\ufeff \n\t\n"))


def test_missing_suggests_a_sibling(tmp_path: Path) -> None:
    put(tmp_path / "biology.md", "x")
    assert "Did you mean 'biology.md'?" in message(tmp_path / "bilogy.md")
    assert message(tmp_path / "no" / "x.md").startswith("There is no file or folder")
    (tmp_path / "nothing").mkdir()
    assert "is empty" in message(tmp_path / "nothing" / "x.md")
    assert message(tmp_path / "biology.md" / "x.md").startswith("There is no file or folder")


def test_name_too_long(tmp_path: Path) -> None:
    assert message(tmp_path / ("x" * 1000)).startswith("Cannot read")


def test_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    text = message(put(tmp_path / "a.docx", "x"))
    assert ".htm, .html, .json, .markdown, .md, .pdf, .txt" in text
    assert "Cannot tell the format" in message(put(tmp_path / "README", "x"))


def test_folder_with_nothing_to_read(tmp_path: Path) -> None:
    put(tmp_path / "a.py", "x")
    put(tmp_path / "a.txt", "")
    assert "holds nothing to read" in message(tmp_path)


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.txt", "x")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root, as tests may run, is refused nothing
    assert "Permission denied" in message(path)


def test_neither_file_nor_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert "neither a file nor a folder" in message(tmp_path / "pipe.txt")


def test_odd_file_names_stay_on_one_line(tmp_path: Path) -> None:
    assert r"a\nb.txt" in message(put(tmp_path / "a\nb.txt", ""))
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))
    try:
        put(path, "")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    message(path).encode()


def test_title_of_a_name_without_letters(tmp_path: Path) -> None:
    assert read_documents([put(tmp_path / "___.txt", "x")])[0].title == "___"


def test_not_a_document_is_a_user_error() -> None:
    assert issubclass(NotADocumentError, UserError)
