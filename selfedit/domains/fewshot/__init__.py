"""Few-shot adaptation: puzzles of grids (ARC), and anyone's pairs of input and output."""

from __future__ import annotations

from selfedit.domains.fewshot.domain import FewshotDomain

__all__ = ["FewshotDomain"]
