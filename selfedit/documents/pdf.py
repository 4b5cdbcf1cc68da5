"""PDF, by pypdf, which is the extra selfedit[pdf]."""

from __future__ import annotations

import io
from pathlib import Path
from typing import ClassVar

from selfedit.documents.base import Document, DocumentReader
from selfedit.documents.outline import Outline
from selfedit.errors import UserError
from selfedit.text.reading import read_bytes, shown


class PdfReader(DocumentReader):
    """One document in one section. The title is that of the PDF's metadata, else from the file's name.

    Raises UserError without pypdf, for a PDF that needs a password, and for one without text (a scan).
    """

    suffixes: ClassVar[tuple[str, ...]] = (".pdf",)

    def read(self, path: Path) -> list[Document]:
        """See DocumentReader."""
        try:
            import pypdf  # noqa: F401
        except ImportError as error:
            raise UserError(
                f"Reading PDF needs the extra: pip install 'selfedit[pdf]' (to read {shown(path)})"
            ) from error
        data = read_bytes(path)
        title, pages = _extract(data, path)
        if not any(page.strip() for page in pages):
            raise UserError(
                f"{shown(path)} has no text, it may be a scan: run OCR on it first, for example with ocrmypdf."
            )
        outline = Outline()
        for page in pages:
            outline.paragraph(page)
        return [outline.document(path, data, title)]


def _extract(data: bytes, path: Path) -> tuple[str, list[str]]:
    """Return the metadata's title, or '', and the text of each page."""
    import pypdf
    from pypdf.errors import DependencyError, FileNotDecryptedError

    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        pages = [_clean(page.extract_text()) for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except (DependencyError, FileNotDecryptedError) as error:
        raise UserError(
            f"{shown(path)} is encrypted: save it without a password first, for example with `qpdf --decrypt`."
        ) from error
    except Exception as error:  # a damaged PDF makes pypdf raise nearly anything
        raise UserError(
            f"Cannot read {shown(path)} as a PDF ({shown(error, 120)}): repair it, or convert it to text."
        ) from error
    return " ".join(_clean(title or "").split()), pages


def _clean(text: str) -> str:
    """Return text without NULs and lone surrogates, which broken fonts yield and no tokenizer takes."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
