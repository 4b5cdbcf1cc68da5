"""A report as Markdown, for where a page is not at hand: a pull request, a model card, a terminal."""

from __future__ import annotations

from selfedit.report.escaping import markdown_block, markdown_cell, markdown_line
from selfedit.report.sections import Block, Bullets, EditCard, Figure, Page, Paragraph, Section, SideBySide
from selfedit.report.table import Table


def to_markdown(page: Page, figures: str | None = None) -> str:
    """The whole text. Charts are linked as `figures`/NAME.svg, and left out where `figures` is None.

    The caller writes those files, from `page.figures`.
    """
    parts = [f"# {markdown_cell(page.title)}", markdown_line(page.lead)]
    parts += [_section(section, figures) for section in page.sections]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section, figures: str | None) -> str:
    blocks = (_block(block, figures) for block in section.blocks)
    return "\n\n".join(part for part in (f"## {markdown_cell(section.heading)}", *blocks) if part)


def _block(block: Block, figures: str | None) -> str:
    if isinstance(block, Paragraph):
        return markdown_line(block.text)
    if isinstance(block, Bullets):
        return "\n".join(f"- {markdown_line(item)}" for item in block.items)
    if isinstance(block, Figure):
        caption = markdown_line(block.caption)
        image = f"![{markdown_cell(block.caption or block.name)}](<{figures}/{block.name}.svg>)"
        return f"{image}\n\n{caption}".rstrip() if figures is not None else ""
    if isinstance(block, SideBySide):
        title = f"### {markdown_cell(block.title)}" if block.title else ""
        return "\n\n".join(part for part in (title, _card(block.best), _card(block.worst)) if part)
    return block.to_markdown()


def _card(card: EditCard) -> str:
    told = ". ".join(part for part in (card.score, card.note) if part)
    head = f"**{markdown_cell(card.heading)}**" + (f": {markdown_cell(told)}" if told else "")
    parts = [head, markdown_block(card.text)]
    if card.replies:
        rows = tuple((r.question, r.expected, r.answered, "right" if r.correct else "wrong") for r in card.replies)
        parts.append(Table("", ("question", "expected", "answered", "graded"), rows).to_markdown())
    return "\n\n".join(parts)
