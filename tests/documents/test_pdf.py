"""PDF."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from selfedit.documents import read_documents
from selfedit.errors import UserError

PDF_HEAD = b"%PDF-1.4\n"


def make_pdf(path: Path, pages: list[str], title: str = "") -> Path:
    """Write a minimal PDF by hand, one line of text a page."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        stream = b"BT /F1 12 Tf 72 720 Td (" + text.encode() + b") Tj ET" if text else b""
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids))
    objects.append(b"<< /Title (%s) >>" % title.encode())
    data, offsets = PDF_HEAD, []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    xref = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        count,
        count - 1,
        len(data),
    )
    path.write_bytes(data + b"xref\n0 %d\n0000000000 65535 f \n" % count + xref + trailer)
    return path


def message(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_documents([path])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_text_and_title(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="pypdf is not installed")
    [document] = read_documents([make_pdf(tmp_path / "a.pdf", ["Cells are small.", "They divide."], "On cells")])
    assert document.title == "On cells"
    assert [(section.heading, section.text) for section in document.sections] == [
        ("", "Cells are small.\n\nThey divide.")
    ]
    assert read_documents([make_pdf(tmp_path / "my_paper.pdf", ["x"])])[0].title == "My paper"


def test_without_text(tmp_path: Path) -> None:
    pytest.importorskip("pypdf", reason="pypdf is not installed")
    assert "has no text, it may be a scan" in message(make_pdf(tmp_path / "a.pdf", [""]))


@pytest.mark.parametrize("password", ["secret", ""])
def test_encrypted(tmp_path: Path, password: str) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    writer = pypdf.PdfWriter(clone_from=make_pdf(tmp_path / "plain.pdf", ["Cells are small."]))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    path = tmp_path / "locked.pdf"
    writer.write(path)
    if password:
        assert "is encrypted" in message(path)
    else:  # anyone may open it, so any reader does
        assert read_documents([path])[0].sections[0].text == "Cells are small."


@pytest.mark.parametrize("data", [b"not a pdf at all", PDF_HEAD + b"1 0 obj\n<<", b"\0\1\2"])
def test_damaged(tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("pypdf", reason="pypdf is not installed")
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    assert "as a PDF" in message(path)


def test_without_pypdf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"x")
    assert message(path).startswith("Reading PDF needs the extra: pip install 'selfedit[pdf]'")
