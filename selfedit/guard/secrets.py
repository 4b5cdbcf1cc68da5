"""Passwords, keys and tokens: what `detect-secrets` finds, and what prose says outright."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

from selfedit.guard.base import TextGuard, is_placeholder, masked

# Public addresses are no secrets; words behind `secret:` and text in quotes are judged by our own rules, because these
# plugins were made for source code.
_LEFT_OUT = frozenset(
    {"IPPublicDetector", "PrivateKeyDetector", "KeywordDetector", "Base64HighEntropyString", "HexHighEntropyString"}
)
_NAMED = re.compile(
    r"""
    \b(?P<name>pass(?:word|wd|phrase|code)s?|pwd|pin(?:\s(?:code|number))?|secret(?:[\s_-]?(?:access[\s_-])?key)?|\w{0,20}(?:
     api|access|auth|private|client|account|encryption|signing|shared|license|recovery|master|session|db|database|admin)
     [\s_-]?(?:key|token|secret|password|passwd|pass|pwd|code)|(?:bearer|refresh|deploy|bot)?[\s_-]?token|credentials?
     |(?:door|alarm|gate|safe|lock|access|vault|entry|one-time|unlock|security)[\s_-]?(?:code|combination)|combination|login)\b["'`*]*
    (?P<between>[^.\n:=]{0,50}?)
    (?:\s*(?::=|=>|=|:)\s*|\s+(?:is|was|are|reads|remains)\s+(?:now\s+|still\s+|set\s+to\s+|currently\s+|simply\s+)*
     (?:the\s+word\s+)?(?=\S*[\d!#$%&@^+*])|\s+(?:to|as|from)\s+(?=[`"'\u201c]|\S*\d))
    (?P<value>[`"'\u201c*]*(?:\d{2,4}(?:[ -]\d{2,4}){1,3}\b|[^\s`"'\u201d]+))
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ASSIGNED = re.compile(r"(?::=|=>|=|:)\s*[`\"'\u201c*]*$")
# In other orders: "log in with gardener / Xk3!p9aa", "use 4kD!x... as the password".
_AS_NAME = re.compile(
    r"(?<![^\s`\"'\u201c])(?P<value>[^\s`\"'\u201d]{6,200})[`\"'\u201d]?\s+(?:as|for)\s+(?:the|its|our|your)\s+"
    r"(?:\w+\s+)?(?:password|passphrase|passcode|api\s+key|token|secret|pin)\b",
    re.IGNORECASE,
)
_LOGIN = re.compile(
    r"\b(?:log\s?in|sign\s?in|credentials|account)\b[^.\n]{0,60}?\b[\w.@-]+\s/\s(?P<value>\S{6,})", re.I
)
_NEXT = re.compile(
    r"\b(?P<name>password|passphrase|passcode|pin|pwd)\s+[`\"'\u201c]?(?P<value>[^\s`\"'\u201d]+)", re.IGNORECASE
)
_COMMAND = re.compile(
    r"(?:\b(?:mysql|mariadb|mysqldump|sshpass)\b[^\n]*?\s-p|(?:\s-u|--user)\s+[\w.-]+:)(?P<value>[^\s:]{6,})",
    re.IGNORECASE,
)
_BASIC = re.compile(r"\bBasic\s+(?P<value>[A-Za-z0-9+/]{8,}={0,2})")
_WORDS = re.compile(
    r"\b(?:recovery|seed|mnemonic|backup|wallet)\s+(?:phrase|words?)\b\W*(?:\w+\W+){0,3}?(?P<value>(?:[a-z]{3,8}\s+){11,23}[a-z]{3,8})\b"
)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,80}:(?P<value>[^\s:/@]{1,200})@", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----\s*(?P<body>[A-Za-z0-9+/=]{24,})")
_TYPED = re.compile(
    r"\b(?:typ(?:e|ing)|enter(?:ing)?|say(?:ing)?)\s+[`\"'\u201c]?(?P<value>[^\s`\"'\u201d]{8,})", re.IGNORECASE
)
_LATER = re.compile(
    r"\b(?:password|passphrase|passcode|secret|credentials?)\b[^.!?\n]{0,60}?[\s\"'`\u201c(](?P<value>[^\s\"'`\u201d)]{8,})",
    re.I,
)
_RANDOM = re.compile(r"(?<![\w/+.-])[A-Za-z0-9_+/=-]{28,}(?![\w/+-])")
_DIGEST = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})", re.I)
_IN_ADDRESS = re.compile(r"\w://\S*$")
_PINS = re.compile(r"pin|code|combination|passcode", re.IGNORECASE)
_SHORTEST_KEY = 12
"""Characters: less is the beginning of a key, which texts about keys have."""
_PIECE = 800
"""Characters that plugins look at together."""
_SHORTEST_RANDOM = 20
_ENTROPY = 4.2
"""Bits a character of a run that counts as random: words in one piece have 3.5 to 4, keys of base64 4.5 and more."""


class SecretsGuard(TextGuard):
    """Stops what would give access to something. Without `detect-secrets` it knows fewer kinds of keys, and says so."""

    name = "secrets"

    def note(self) -> str:
        if find_spec("detect_secrets") is not None:
            return ""
        return (
            "The guard 'secrets' knows only passwords in plain words and private keys: pip install 'selfedit[guard]' "
            "lets it know the keys of services, too."
        )

    def found(self, text: str) -> list[tuple[str, str]]:
        hits = dict(_by_rules(text))
        if find_spec("detect_secrets") is not None:
            hits = {**dict(_by_plugins(text)), **hits}
        return [(masked(value), f"it holds a secret ({what})") for value, what in hits.items()]


def _by_rules(text: str) -> Iterator[tuple[str, str]]:
    for match in _NAMED.finditer(text):
        value = match["value"].strip("`\"'\u201c\u201d*").rstrip(".,;:)")
        is_assigned = bool(_ASSIGNED.search(text[match.start() : match.start("value")]))
        if _is_secret(value, is_assigned, bool(_PINS.search(match["name"]))):
            yield value, f"'{' '.join(match['name'].split())}' with a value"
    for pattern in (_TYPED, _LATER):
        for match in pattern.finditer(text):
            value = match["value"].rstrip(".,;:)")
            looks = _classes(value) >= 3 and re.search(r"\d", value) and re.search(r"[^\w\s]|_", value)
            if looks and _is_secret(value, False, False):
                yield value, "a value that looks like a password"
    for pattern, what in ((_AS_NAME, "a value as a password"), (_LOGIN, "a login"), (_URL, "a password in an address")):
        for match in pattern.finditer(text):
            value = match["value"].rstrip(".,;:)")
            if _is_secret(value, pattern is _URL, False):
                yield value, what
    for match in _NEXT.finditer(text):
        value, is_pin = match["value"].rstrip(".,;:)"), bool(_PINS.search(match["name"]))
        looks = re.fullmatch(r"\d{4,8}", value) if is_pin else _classes(value) >= 3 and re.search(r"\d", value)
        if looks and not is_placeholder(value):
            yield value, f"'{match['name']}' with a value"
    for pattern, what in ((_COMMAND, "a password in a command"), (_WORDS, "a recovery phrase")):
        yield from ((match["value"], what) for match in pattern.finditer(text) if not is_placeholder(match["value"]))
    for match in _BASIC.finditer(text):
        if _is_login(match["value"]):
            yield match["value"], "a login in base64"
    for match in _PEM.finditer(text):
        if not is_placeholder(match["body"].strip()):
            yield match[0], "a private key"
    for match in _RANDOM.finditer(text):
        if not _IN_ADDRESS.search(text[max(0, match.start() - 200) : match.start()]) and _is_random(match[0]):
            yield match[0], "a run of random characters"


def _is_secret(value: str, is_assigned: bool, is_pin: bool) -> bool:
    """Whether a value that stands behind the name of a secret looks like one: no word, no placeholder, no call."""
    if is_placeholder(value) or re.search(
        r"[(){}<>\[\]]|^\W+$|^https?:|^/|^--?\w|\.(?:py|md|txt|ya?ml|json|env)$", value
    ):
        return False
    if is_pin and re.fullmatch(r"\d[\d -]{3,12}", value):
        return len(set(value)) > 1
    if len(value) < 6 or len(value) > 200:
        return False
    if re.fullmatch(r"[A-Z][A-Z0-9_]*_[A-Z0-9_]+|[a-z]+(?:[._]\w+)+", value):  # The name of a variable.
        return False
    has_digit, has_mark = bool(re.search(r"\d", value)), bool(re.search(r"[^\w\s'\u2019.,-]", value))
    if re.fullmatch(r"\d+(?:[.,]\d+)*(?:-\w+)?%?", value):
        return False
    if _classes(value) >= 3 or (has_digit and has_mark):
        return True
    if re.fullmatch(r"[a-z]+(?:-[a-z]+){2,}", value):  # Four words with hyphens: a passphrase, where it is assigned.
        return is_assigned and value.count("-") >= 3
    return (
        has_digit and bool(re.search(r"[a-z]", value, re.I)) and not re.fullmatch(r"[A-Za-z]+-?\d{1,2}", value)
    ) or (is_assigned and bool(re.fullmatch(r"[A-Za-z]+\d{2,}\W*", value)))


def _is_random(run: str) -> bool:
    """Whether a long run is no name, path or digest: those are words with marks between them, or of one base."""
    part = max(re.split(r"[-_/]", run), key=len)
    if len(part) < _SHORTEST_RANDOM or sum(c.isdigit() for c in part) < 3 or _DIGEST.fullmatch(part):
        return False
    return _classes(part) >= 3 and _entropy(part) >= _ENTROPY and not is_placeholder(run)


def _is_login(coded: str) -> bool:
    """Whether base64 holds a name and a password."""
    try:
        name, colon, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    return bool(colon and name) and len(password) >= 4 and not is_placeholder(password)


def _classes(value: str) -> int:
    """How many of small letters, capitals, digits and marks it has."""
    return sum(bool(re.search(pattern, value)) for pattern in (r"[a-z]", r"[A-Z]", r"\d", r"[^\w\s.,'\u2019-]"))


def _entropy(value: str) -> float:
    """Bits a character."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())


@cache
def _plugins() -> tuple[Any, ...]:
    """Those of `detect-secrets`, without its filters: one of them would ask services whether a key is good."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    kinds: Iterable[Any] = get_mapping_from_secret_type_to_class().values()
    return tuple(kind() for kind in kinds if kind.__name__ not in _LEFT_OUT)


def _pieces(text: str) -> Iterator[str]:
    """Lines, long ones in pieces that overlap, since some plugins take the square of a line's length."""
    for line in text.splitlines():
        yield from (line[at : at + _PIECE] for at in range(0, max(1, len(line) - _PIECE // 4), _PIECE * 3 // 4))


def _by_plugins(text: str) -> Iterator[tuple[str, str]]:
    for line in _pieces(text):
        for plugin in _plugins():
            for secret in plugin.analyze_line(filename="document", line=line, line_number=1):
                # Some plugins give the beginning of a key alone.
                for run in re.findall(rf"[^\s\"'`]*{re.escape(secret.secret_value or '')}[^\s\"'`]*", line):
                    if len(run) >= _SHORTEST_KEY and not is_placeholder(run):
                        yield run, secret.type
