"""Instructions to the reader: text that wants to steer a model instead of telling it something."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from selfedit.guard.base import TextGuard
from selfedit.guard.folding import folded, tag_text
from selfedit.guard.signs import MAYBE, PLAIN, Sign, signs

# What stands in quotes or in code and is spoken of is not said to the reader.
_QUOTED = re.compile(
    r"```.*?```|`[^`\n]+`|\u201c[^\u201d]*\u201d|\u201e[^\u201c\u201d]*[\u201c\u201d]|\u00ab[^\u00bb]*\u00bb|\"[^\"\n]*\"|"
    r"\u2018[^\u2019\n]*\u2019|(?<!\w)'[^'\n]{6,}'(?!\w)|^>.*$",
    re.DOTALL | re.M,
)
_SPOKEN_OF = re.compile(
    r"\battack|\binject|malicious|jailbreak|adversar|hostile|untrusted|\btrick|exploit|red[- ]team|\bexamples?\b|"
    r"for instance|such as|\bphrases?\b|\bsentences? like|\bstrings?\b|\bfilter|\bdetect|\bscanner|\bblocklist|"
    r"\bflags?\b"
    r"|\bflagged|tokeni[sz]er|\btokens?\b|\btemplate|\bnovel\b|\bfilm\b|\bstory\b|\bplay\b|\bchapter\b|\bpoem\b|\bjoke|\bcliché|\bmeme|\bphish|\bpoison|"
    r"\bthreat|\bvulnerab|\bmanipulat|\bsmuggl|\bbenchmark|\btest case|\bso-called|\bfamous|\bclassic\b|\bthe words?\b",
    re.IGNORECASE,
)
_NEAR = 240
"""Characters around a quotation in which it may be spoken of."""
# "attackers ask a model to ignore ...": told of, not told.
_INDIRECT = re.compile(
    r"\b(?:to|by|that|which|who|could|can|may|might|would|cannot|attackers?|it|they|payloads?|prompts?)\s+(?:\w+\s+)?$",
    re.I,
)
# "his orders were to ignore ...": a tale.
_NARRATED = re.compile(
    r"^(?!.*\byou\b).*\b(?:was|were|been|told|ordered|asked|instructed|had|decided|refused|chose|began|tried|used)\s+"
    r"(?:\w+\s+){0,3}to\s+$",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"(?:^|[.!?\n]\s*)\W*(?:if|unless|when|where|for|in case|once|on)\b[^.!?\n]*$", re.IGNORECASE)
_COMMENT = re.compile(
    r"<!--(.{0,2000}?)-->|\[//\]:\s*#\s*\((.{0,2000}?)\)|style\s*=\s*[\"'][^\"']*(?:display:\s*none|font-size:\s*0|opacity:\s*0)[^>]*>([^<]*)",
    re.DOTALL | re.IGNORECASE,
)
_CODED = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{24,}={0,2}(?![\w+/=])")
_ORDER = re.compile(
    r"\b(?:you (?:must|should|will)|always|never|ignore|disregard|answer|respond|reply|pretend|do not|"
    r"reveal|recommend)\b",
    re.IGNORECASE,
)
_MODEL = re.compile(r"\b(?:a\.?i\.?|llms?|language models?|assistants?|chat-?bots?|agents?|bots?)\b", re.IGNORECASE)


class InstructionsGuard(TextGuard):
    """Stops text that gives orders to a model: by the signs in `signs.py`, also hidden, disguised or coded.

    What is quoted and spoken of as such passes, and so do orders to people.
    """

    name = "instructions"

    def found(self, text: str) -> list[tuple[str, str]]:
        plain = folded(text)
        hits = list(_hits(plain))
        if tags := tag_text(text):
            hits += [(tags, sign.what, sign.weight) for sign in signs() if sign.pattern.search(tags)]
        hits += list(_hidden(plain)) + list(_coded(text))
        weights: dict[str, int] = {}
        for _, what, weight in hits:
            weights[what] = max(weights.get(what, 0), weight)
        if sum(weights.values()) < PLAIN:
            return []
        return [(excerpt, what) for what, excerpt in {what: excerpt for excerpt, what, _ in reversed(hits)}.items()]


def _hits(text: str) -> Iterator[tuple[str, str, int]]:
    """What of the text is a sign, as (excerpt, what, weight)."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    for sign in signs():
        weights = {}
        for match in sign.pattern.finditer(text):
            if weight := _weight(sign, text, match, quoted):
                weights[match] = weight
        if weights:
            match = max(weights, key=lambda match: weights[match])
            yield text[max(0, match.start() - 20) : match.end() + 40], sign.what, weights[match]


def _weight(sign: Sign, text: str, match: re.Match[str], quoted: list[tuple[int, int]]) -> int:
    """What a sign weighs where it stands: nothing where it is only spoken of."""
    start, end = match.span()
    inside = next(((a, b) for a, b in quoted if a <= start and end <= b), None)
    before = text[max(0, start - 120) : start]
    if inside is not None:
        around = text[max(0, inside[0] - _NEAR) : inside[0]] + " " + text[inside[1] : inside[1] + _NEAR]
        return 0 if _SPOKEN_OF.search(around) else sign.weight
    sentence = re.split(r"[.!?\n]", before)[-1]
    around = text[max(0, start - _NEAR) : end + _NEAR]
    if _INDIRECT.search(sentence) and _SPOKEN_OF.search(around):
        return 0
    if sign.kind == "marks" and sentence.strip() and _SPOKEN_OF.search(sentence + text[end : end + 60]):
        return MAYBE
    if sign.kind == "calls_off" and (_CONDITION.search(before) or _NARRATED.search(sentence)):
        return MAYBE
    return sign.weight


def _hidden(text: str) -> Iterator[tuple[str, str, int]]:
    """Comments that a page does not show and that give orders."""
    for match in _COMMENT.finditer(text):
        comment = next(filter(None, match.groups()), "")
        if _ORDER.search(comment) and _MODEL.search(comment):
            yield comment, "a hidden comment gives orders", PLAIN


def _coded(text: str) -> Iterator[tuple[str, str, int]]:
    """Text in base64 that is a sign when it is read."""
    for match in _CODED.finditer(text):
        try:
            read = base64.b64decode(match[0] + "=" * (-len(match[0]) % 4), validate=True).decode()
        except (binascii.Error, ValueError):
            continue
        if any(sign.pattern.search(folded(read)) for sign in signs()):
            yield read, "it gives orders in base64", PLAIN
