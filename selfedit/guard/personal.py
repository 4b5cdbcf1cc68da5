"""What belongs to a person: addresses, telephone numbers, cards, accounts, numbers of papers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selfedit.graders.words import listed
from selfedit.guard.base import TextGuard, is_placeholder, masked

_EMAIL = re.compile(
    r"(?<![\w.+-])([A-Za-z0-9][\w.+%-]*)@((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,})\b"
)
# RFC 2606 and 6761: names that never belong to anybody.
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.\w+)?|test|invalid|localhost|local|internal)$", re.IGNORECASE)
_ROLES = frozenset(
    listed("""
    abuse accounts admin administrator alerts billing bookings bugs careers community contact customerservice
    dev editor editorial editors enquiries events feedback git hello help helpdesk hostmaster hr info
    inquiries it jobs legal mail marketing media members news newsletter no-reply noc noreply notifications
    office operations ops orders postmaster press privacy reception registrar reservations root sales security
    service servicedesk shop staff subscribe support team tickets training unsubscribe volunteers webmaster
    welcome
    """)
)
_NOBODY = re.compile(
    r"^(?:your|my|some|first|last|user|name|you|me|someone|recipient|sender|jane\.?doe|john\.?doe)", re.I
)

_PHONE = re.compile(
    r"(?<![\w.+/-])(\+\d{1,3}[\s.()/-]{0,2}(?:\d[\s.()/-]{0,2}){6,13}\d|\(\d{3}\)\s?\d{3}-\d{4}|[2-9]\d{2}-[2-9]\d{2}-\d{4})(?![\w-])"
)
_LABELLED_PHONE = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|cellphone|call|ring|dial|whatsapp|sms|text)\b[^\d\n.]{0,30}?"
    r"(\(?\d[\d\s().-]{5,16}\d)(?![\w-])",
    re.IGNORECASE,
)
# Numbers kept free for films and books, and those that are nobody's own.
_NOBODYS = re.compile(
    r"^(?:1?\d{3}55501\d\d|1?55501\d\d|1?8(?:00|33|44|55|66|77|88)\d{7}|44(?:0)?7700900\d{3}|0?7700900\d{3})$"
)
_FREE = re.compile(r"^(?:0?800|0?808|00800)")
_OFFICIAL = re.compile(
    r"hotline|help\s?(?:desk|line)|service\s?desk|switchboard|reception|front desk|support|customer|emergency|office|"
    r"toll[- ]free|information line|box office|ticket|bookings?|reservations?|enquir|general",
    re.IGNORECASE,
)

_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])")
_ISSUERS = re.compile(r"^(?:4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|5|4[4-9])|35)")
_REFERENCE = re.compile(
    r"\b(?:order|invoice|track\w*|serial|reference|ref|part|case|ticket|isbn|ean|model|batch)\b[^.\n]*$", re.I
)
# Published by payment services to try things with.
_TEST_CARDS = frozenset(
    listed("""
    4111111111111111 4242424242424242 4012888888881881 4000056655665556 5555555555554444 5105105105105100
    5200828282828210 2223003122003222 378282246310005 371449635398431 6011111111111117 6011000990139424
    3056930009020004 38520000023237 3530111333300000 3566002020360505 4000000000000002 4000000000009995
    30569309025904
    """)
)
_IBAN = re.compile(r"\b([A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,4})?)\b")
# The registry's own examples.
_TEST_IBANS = frozenset(
    listed("""
    DE89370400440532013000 GB29NWBK60161331926819 GB82WEST12345698765432 FR1420041010050500013M02606
    NL91ABNA0417164300 ES9121000418450200051332 IT60X0542811101000000123456 CH9300762011623852957
    AT611904300234573201 BE68539007547034 SE4550000000058398257466 NO9386011117947 DK5000400440116243
    PL61109010140000071219812874
    """)
)
_SSN = re.compile(r"(?<![\w-])(\d{3})-(\d{2})-(\d{4})(?![\w-])")
_ADVERTISED = frozenset({"078-05-1120", "219-09-9999", "123-45-6789", "987-65-4321"})
_PAPER = re.compile(
    r"\b(?:passport|driv(?:er|ing)(?:['\u2019]?s)?\s+licen[cs]e|identity\s+card|id\s+card|national\s+(?:id|insurance)|"
    r"social\s+(?:security|insurance)|insurance|tax(?:payer)?(?:\s+id(?:entification)?)?|patient|medical\s+record|nhs|"
    r"personnel|voter|bank\s+account|account)\s*(?:number|no\.?|nr\.?|id|#)?\s*"
    r"(?:(?:is|was|:|=|of\s+(?:[A-Z]\w+\s+){1,3}is)\s*|(?<=no\. )|(?<=number ))"
    r"(?P<value>(?-i:[A-Z0-9][A-Z0-9 /-]{4,20}[A-Z0-9]))\b",
    re.IGNORECASE,
)
_BORN = re.compile(
    r"\b(?:date of birth|d\.?o\.?b\.?|birth\s?date|birthday)\b\s*(?:is|was|:|=|,)?\s*(?:on\s+)?"
    r"(?P<value>\d{1,2}[./ -](?:\d{1,2}|[A-Za-z]{3,9})"
    r"[./ -]\d{2,4}|\d{4}-\d{2}-\d{2}|[A-Z][a-z]{2,8} \d{1,2},? \d{4})",
    re.IGNORECASE,
)
_HOME = re.compile(
    r"\b(?i:home address|private address|lives at|living at|resides at|reside at|lived at)\b\s*(?:is|:|of)?\s*"
    r"(?P<value>\d+[A-Za-z]?\s+[A-Z][\w'\u2019]+(?:\s+[A-Z][\w'\u2019]+){0,3}|[A-Z][\w'\u2019]+(?:stra(?:ss|\u00df)e|weg|gasse)\s+\d+)"
)


class PersonalGuard(TextGuard):
    """Stops personal data. What belongs to an office (info@, a hotline) or to nobody (example.com) passes."""

    name = "personal"

    def found(self, text: str) -> list[tuple[str, str]]:
        found = (*_emails(text), *_phones(text), *_numbers(text), *_labelled(text))
        return [(masked(value), f"it holds personal data ({what})") for value, what in found]


def _emails(text: str) -> Iterator[tuple[str, str]]:
    for match in _EMAIL.finditer(text):
        local, domain = match[1].lower(), match[2].lower()
        words = re.split(r"[.+_-]", local)
        if _RESERVED.search(domain) or local in _ROLES or words[0] in _ROLES or _NOBODY.match(local):
            continue
        if text[max(0, match.start() - 3) : match.start()] == "://":  # A login in an address.
            continue
        yield match[0], "an e-mail address"


def _phones(text: str) -> Iterator[tuple[str, str]]:
    for pattern in (_PHONE, _LABELLED_PHONE):
        for match in pattern.finditer(text):
            digits = re.sub(r"\D", "", match[1])
            around = text[max(0, match.start() - 60) : match.end() + 40]
            if len(digits) < 7 or len(digits) > 15 or len(set(digits)) < 3 or _NOBODYS.match(digits):
                continue
            if _FREE.match(digits) or _OFFICIAL.search(around) or re.search(r"555[\s.-]?01\d\d", match[1]):
                continue
            yield match[1].strip(), "a telephone number"


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match[0])
        if _REFERENCE.search(text[max(0, match.start() - 40) : match.start()]):
            continue
        if _ISSUERS.match(digits) and luhn(digits) and digits not in _TEST_CARDS and len(set(digits)) > 3:
            yield match[0].strip(), "a card number"
    for match in _IBAN.finditer(text):
        account = match[1].replace(" ", "")
        if iban(account) and account not in _TEST_IBANS:
            yield match[1], "a bank account"
    for match in _SSN.finditer(text):
        area, group, serial = match.groups()
        is_given = area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"
        if is_given and match[0] not in _ADVERTISED:
            yield match[0], "a social security number"


def _labelled(text: str) -> Iterator[tuple[str, str]]:
    for pattern, what in ((_PAPER, "the number of a paper"), (_BORN, "a date of birth"), (_HOME, "a home address")):
        for match in pattern.finditer(text):
            value = match["value"]
            if pattern is _PAPER and (sum(c.isdigit() for c in value) < 4 or is_placeholder(value)):
                continue
            yield value, what


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 * (value > 9)
    return total % 10 == 0


def iban(account: str) -> bool:
    """Whether the check digits of an account are right (ISO 13616, modulo 97)."""
    if not 15 <= len(account) <= 34:
        return False
    return int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1
