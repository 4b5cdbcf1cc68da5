"""Plain text."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from selfedit.documents.base import Document, DocumentReader
from selfedit.documents.outline import Outline
from selfedit.text.reading import decode, read_bytes


class PlainReader(DocumentReader):
    """One document in one section, titled by the file's name. A form feed ends a paragraph."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    def read(self, path: Path) -> list[Document]:
        """See DocumentReader."""
        data = read_bytes(path)
        outline = Outline()
        outline.paragraph(decode(data, path).replace("\f", "\n\n"))
        return [outline.document(path, data)]
