"""A report as one HTML file: style and charts within, no script, nothing loaded from anywhere."""

from __future__ import annotations

from selfedit.report.escaping import markup
from selfedit.report.sections import Block, Bullets, EditCard, Figure, Page, Paragraph, Reply, Section, SideBySide

RIGHT, WRONG = "✓", "✗"

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--ground:#fff;--soft:#5c5c5c;--rule:#d9d9d9;--card:#f6f6f4;
--right:#00694c;--wrong:#a84300}
@media (prefers-color-scheme:dark){:root{--ink:#e6e6e6;--ground:#161616;--soft:#a6a6a6;--rule:#3a3a3a;--card:#202020;
--right:#4fd1ab;--wrong:#f5a06a}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:72rem;color:var(--ink);background:var(--ground);
font:16px/1.55 system-ui,sans-serif;overflow-wrap:anywhere;-webkit-text-size-adjust:100%}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.15rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
h4{font-size:.95rem;margin:0}
.lead{font-size:1.1rem;margin-top:0}
header,p,ul,figure:not(.table){max-width:46rem}
nav{font-size:.9rem;color:var(--soft)}
a{color:inherit}
figcaption,caption,.note{color:var(--soft);font-size:.85rem}
figure{margin:1.25rem 0}
figcaption{margin-top:.4rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;overflow-wrap:normal}
caption{text-align:left;padding-bottom:.3rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .9rem .3rem 0;border-bottom:1px solid var(--rule);
max-width:36rem;overflow-wrap:break-word}
th{font-weight:600;border-bottom-color:var(--soft)}
.right{text-align:right;white-space:nowrap}
.pair{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,18rem),1fr));align-items:start}
.card{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:.9rem 1rem}
.card pre{white-space:pre-wrap;overflow-wrap:anywhere;font:.85rem/1.5 ui-monospace,monospace;margin:.6rem 0}
.card ol{list-style:none;margin:.6rem 0 0;padding:0;font-size:.9rem}
.card li{border-top:1px solid var(--rule);padding:.5rem 0 .5rem 1.4rem;position:relative}
.mark{position:absolute;left:0;font-weight:600}
.is-right{color:var(--right)}.is-wrong{color:var(--wrong)}
.answer{display:block}
@media print{body{max-width:none;padding:0;font-size:11pt}nav{display:none}.wide{overflow:visible}
h2,h3,h4{break-after:avoid}figure,li,tr{break-inside:avoid}.card{background:none}}
"""
# Should anything slip through the escaping, the browser still loads and runs nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def to_html(page: Page) -> str:
    """The whole file. Every string of the page is escaped; only the charts' SVG goes in as it is."""
    lead = f'<p class="lead">{markup(page.lead)}</p>\n' if page.lead else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{markup(page.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{markup(page.title)}</h1>\n{lead}{_contents(page)}</header>\n"
        f"<main>\n{to_sections(page)}\n</main>\n</body>\n</html>\n"
    )


def to_sections(page: Page) -> str:
    """The sections alone, as safe as the whole file, for a page that has a style of its own."""
    return "\n".join(_section(section, index) for index, section in enumerate(page.sections))


def _contents(page: Page) -> str:
    if len(page.sections) < 3:
        return ""
    links = (f'<a href="#s{index}">{markup(section.heading)}</a>' for index, section in enumerate(page.sections))
    return f"<nav>{' · '.join(links)}</nav>\n"


def _section(section: Section, index: int) -> str:
    blocks = "\n".join(_block(block) for block in section.blocks)
    return f'<section id="s{index}">\n<h2>{markup(section.heading)}</h2>\n{blocks}\n</section>'


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{markup(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{markup(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Figure):
        caption = f"<figcaption>{markup(block.caption)}</figcaption>" if block.caption else ""
        return f"<figure>{block.svg}{caption}</figure>"
    if isinstance(block, SideBySide):
        title = f"<h3>{markup(block.title)}</h3>\n" if block.title else ""
        return f'{title}<div class="pair">\n{_card(block.best)}\n{_card(block.worst)}\n</div>'
    return block.to_html()


def _card(card: EditCard) -> str:
    told = ". ".join(part for part in (card.score, card.note) if part)
    note = f'<div class="note">{markup(told)}</div>' if told else ""
    replies = f"<ol>{''.join(map(_reply, card.replies))}</ol>" if card.replies else ""
    # A browser drops a line break right after <pre>, so that an edit that begins with one needs two.
    return (
        f'<article class="card"><h4>{markup(card.heading)}</h4>{note}'
        f'<pre dir="auto">\n{markup(card.text)}</pre>{replies}</article>'
    )


def _reply(reply: Reply) -> str:
    kind, sign, word = ("is-right", RIGHT, "right") if reply.correct else ("is-wrong", WRONG, "wrong")
    expected = "" if reply.correct else f'<span class="answer note">expected: {markup(reply.expected)}</span>'
    return (
        f'<li dir="auto"><span class="mark {kind}" role="img" aria-label="{word}">{sign}</span>'
        f'{markup(reply.question)}<span class="answer {kind}">{markup(reply.answered) or "(no answer)"}</span>'
        f"{expected}</li>"
    )
