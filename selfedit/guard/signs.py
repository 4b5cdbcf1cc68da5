"""The signs of a text that gives orders to the model that reads it, as patterns with what each weighs.

They run over folded text (`folding.py`). Two points stop a document: one `PLAIN` sign, or two that may be innocent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

PLAIN, MAYBE = 2, 1


@dataclass(frozen=True)
class Sign:
    """One sign, what it weighs, and what it is called."""

    pattern: re.Pattern[str]
    weight: int
    what: str


def _sign(pattern: str, weight: int, what: str) -> Sign:
    return Sign(re.compile(pattern, re.IGNORECASE | re.VERBOSE | re.MULTILINE), weight, what)


_GAP = r"(?:[^\w.!?\n]+\w+){0,6}?[^\w.!?\n]+"
_IGNORE = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|bypass(?:ing)?|neglect|discard|abandon|"
    r"set(?:ting)?\ aside|throw\ away|pay\ no\ attention\ to|stop\ (?:following|obeying)|"
    r"(?:do\ not|don['\u2019]t|never|no\ longer)\ (?:follow|obey|comply\ with|listen\ to|adhere\ to)|"
    r"(?:supersedes?|replaces?|cancels?|revokes?|overrides?|takes?\ (?:precedence|priority)\ over))"
)
_BEFORE = r"(?:previous(?:ly)?|prior|above|preceding|earlier|foregoing|existing|original|initial|old|former|current)"
_ORDERS = r"(?:instructions?|prompts?|directions?|directives?|guidelines?|system\ (?:message|prompt|text)s?)"
_RULES = r"(?:rules?|commands?|orders?|constraints?|restrictions?|safeguards?|safety|polic(?:y|ies)|programming|context)"
_AI = (
    r"(?:a\.?i\.?(?:\ (?:models?|systems?|assistants?|agents?|readers?))?|artificial\ intelligences?|"
    r"(?:large\ )?language\ models?|llms?|chat-?\ ?bots?|chat\ ?gpt|gpt(?:-?\d\w*)?|"
    r"(?:virtual|automated|digital)\ (?:assistants?|readers?|agents?)|neural\ net(?:work)?s?|machine\ readers?|copilot|claude|gemini|"
    r"(?:the|this|any|every|dear|whatever|whichever)\ (?:model|assistant|bot)s?)"
)
_SAY = r"(?:answer|reply|respond|say|state|claim|insist|output|write|print|confirm|assert|declare|tell)"
_WORK = r"(?:read|process|summari[sz]|learn|train|ingest|index|scan|pars|analy[sz]|consum|finetun|fine-tun|stud)(?:e?s|ing|ed|e)?"

SIGNS = (
    # Away with what it was told before.
    _sign(rf"\b{_IGNORE}{_GAP}?{_BEFORE}{_GAP}{_ORDERS}\b", PLAIN, "it calls earlier instructions off"),
    _sign(rf"\b{_IGNORE}{_GAP}?(?:all|any|every|your|each){_GAP}{_ORDERS}\b", PLAIN, "it calls instructions off"),
    _sign(rf"\b{_IGNORE}{_GAP}?{_ORDERS}{_GAP}?(?:above|before|given|you|so\ far|until\ now)\b", PLAIN, "it calls instructions off"),
    _sign(rf"\b{_IGNORE}{_GAP}?your{_GAP}{_RULES}\b", PLAIN, "it calls the reader's rules off"),
    _sign(rf"\b{_IGNORE}{_GAP}?{_BEFORE}{_GAP}{_RULES}\b", MAYBE, "it calls earlier rules off"),
    _sign(
        rf"\b{_IGNORE}{_GAP}?(?:everything|anything|all|whatever|what)\ (?:that\ )?(?:you\ (?:were|have\ been|had\ been|know|learn|read)|"
        r"you['\u2019]ve\ (?:been|learn|read)|(?:was|is|came|comes|stands)\ (?:said|written|told|before|above)|above|before\ this)",
        PLAIN,
        "it calls off what the reader was told",
    ),
    _sign(
        r"\b(?:ignor|vergi|missacht|vergess|oubli|n['\u2019]obéi|ne\ (?:tene[zr]|suive[zr])|olvid|desobede|no\ sigas|ignora|dimentica|"
        r"esque[cç]|negeer|vergeet|zignoruj|игнорир|забудь|忽略|忽视|无视|無視|무시)\w*(?:\W+\w+){0,5}?\W*(?:anweisung|instru[ck]|vorgabe|befehl|"
        r"consigne|directive|órdenes|istruzion|orden|instructie|polecen|инструкци|указани|指令|指示|지시)\w*",
        PLAIN,
        "it calls instructions off",
    ),
    # Who the reader is, and how it should behave.
    _sign(
        r"\byou\ are\ (?:now|no\ longer|henceforth|from\ now\ on)\b[^.!?\n]{0,40}?\b(?:assistant|a\.?i\.?|model|bot|chatbot|persona|character|"
        r"dan|unrestricted|unfiltered|uncensored|jailbroken|bound\ by|(?:developer|god|debug|admin|root|maintenance)\ mode|free\ (?:from|of))\b",
        PLAIN,
        "it tells the reader who it is",
    ),
    _sign(
        r"\byou\ are\ (?:an?|the)\ (?:\w+[ -]){0,4}(?:ai|assistant|language\ model|chatbot|llm)\b", MAYBE, "it tells the reader what it is"
    ),
    _sign(
        r"\b(?:act|behave|respond|answer|speak|pretend|role-?play|operate|switch|enter)\ (?:as|to\ be|like|in|into|to)\b[^.!?\n]{0,40}?"
        r"\b(?:dan\b|unrestricted|unfiltered|uncensored|jailbroken|evil\ (?:ai|assistant)|(?:developer|god|debug|admin|root)\ mode|"
        r"without\ (?:any\ )?(?:restrictions?|rules|filters?|limits))",
        PLAIN,
        "it asks for another role",
    ),
    _sign(r"\byour\ (?:new|true|real|only|sole|actual)\ (?:task|goal|role|objective|purpose|job|instructions?|name|identity)\b", PLAIN, "it gives the reader another task"),
    _sign(rf"\bfrom\ (?:now\ on|this\ (?:point|moment)\ (?:on|forward)|here\ on)\W+(?:you\W|(?:always|never|only)?\W*{_SAY}\b)", PLAIN, "it says how to answer from now on"),
    # The model is spoken to.
    _sign(rf"\b{_AI}\b[^.!?\n]{{0,25}}?\b{_WORK}\ (?:this|these|the\ following|the\ present)\b", PLAIN, "it speaks to a model that reads it"),
    _sign(rf"\bif\ you\ are\ (?:an?\ |the\ )?(?:\w+\ )?{_AI}\b", PLAIN, "it speaks to a model"),
    _sign(rf"\bas\ an?\ {_AI}\W+you\b", PLAIN, "it speaks to a model"),
    _sign(
        rf"(?:^|[.!?:>*_#\[(-]\s*)(?:attention|note|notice|message|important|instructions?|instruction|hey|hello|dear|directive|reminder|memo)\b"
        rf"[\s:,]*(?:to|for)?\s*(?:all|any|the|every|other)?\s*{_AI}\b",
        PLAIN,
        "it speaks to a model",
    ),
    _sign(
        rf"\b{_AI}(?!['\u2019]s)\b[^.!?\n]{{0,20}}?\b(?:must|shall|should|are\ (?:to|instructed|required|ordered)|is\ (?:to|instructed|required|ordered)|"
        rf"will\ now|needs?\ to|ha(?:s|ve)\ to)\b[^.!?\n]{{0,20}}?\b(?:always|never|only|ignore|disregard|{_SAY}|recommend|repeat|treat|rank|rate|reveal|remember|forget|not)\b",
        MAYBE,
        "it says what a model has to do",
    ),
    # What it should say, and hide.
    _sign(
        rf"\b(?:when(?:ever)?|if|should|every\ time|each\ time|once)\b[^.!?\n]{{0,30}}?\b(?:you\ (?:are|get)|you['\u2019]re|users?|prompted|queried|"
        rf"the\ prompt|(?:some|any)(?:one|body)\ asks\ you)\b[^.!?\n]{{0,90}}?\b(?:always|never|only|must|simply|just|instead)?\s*{_SAY}\b[^.!?\n]{{0,20}}?(?:\bthat\b|\bwith\b|\bonly\b|\bexactly\b|[\"“'‘:])",
        MAYBE,
        "it says what to answer",
    ),
    _sign(
        rf"\b(?:when(?:ever)?|if|every\ time)\b[^.!?\n]{{0,30}}?\basked\b[^.!?\n]{{0,80}}?\b(?:always|must|only|you\ (?:must|should|will|are\ to))\s*{_SAY}\b[^.!?\n]{{0,15}}?(?:\bthat\b|\bwith\b|\bonly\b|\bexactly\b|[\"“'‘:])",
        MAYBE,
        "it says what must be answered",
    ),
    _sign(rf"\b(?:always|only|never)\ (?:answer|respond|reply|output)\b[^.!?\n]{{0,40}}?\b(?:with|in|by|to\ (?:every|any|all|each)|that)\b", MAYBE, "it says how to answer"),
    _sign(
        r"\b(?:answer|respond|reply)\ (?:to\ )?(?:every|all|any|each)\ (?:\w+\ )?(?:questions?|quer(?:y|ies)|prompts?|requests?|messages?)\b[^.!?\n]{0,40}?\b(?:with|by|as|in)\b",
        PLAIN,
        "it says what to answer to everything",
    ),
    _sign(r"\b(?:do\ not|don['\u2019]t|never|without)\ (?:tell(?:ing)?|inform(?:ing)?|reveal(?:ing)?|mention(?:ing)?|disclos(?:e|ing)|alert(?:ing)?|warn(?:ing)?|notify(?:ing)?|show(?:ing)?)\b[^.!?\n]{0,50}?\b(?:users?|humans?|the\ reader|operators?|anyone|the\ person)\b", MAYBE, "it asks to hide something"),
    _sign(r"\b(?:do\ not|don['\u2019]t|never)\ (?:mention|reveal|disclose|repeat|acknowledge|refer\ to)\ (?:this|these|the)\ (?:\w+\ )?(?:instructions?|notes?|messages?|paragraphs?|text|comments?|prompt|directive)\b", PLAIN, "it asks to hide itself"),
    _sign(
        r"\b(?:reveal|print|output|repeat|display|show|leak|expose|send|dump|recite|disclose|quote)\b(?:\W+\w+){0,4}?\W+"
        r"(?:(?:system|hidden|initial|secret|original)\ (?:prompt|instructions?|message)|your\ (?:\w+\ )?(?:instructions?|prompt|guidelines|configuration|training\ data|weights)|everything\ above)",
        PLAIN,
        "it asks for what the reader was told",
    ),
    _sign(
        r"\b(?:send|post|upload|forward|e-?mail|exfiltrate|transmit|submit|append|leak)\b[^.!?\n]{0,40}?\b(?:(?:the|this|their|your)\ (?:\w+\ )?(?:conversation|chat|session|history|context|dialogue)|(?:user|customer)['\u2019]?s?['\u2019]?\ (?:\w+\ )?(?:data|messages?|passwords?|credentials|questions?|secrets?|tokens?))\b[^\n]{0,40}?\bto\b",
        PLAIN,
        "it asks to send what is confidential",
    ),
    _sign(
        r"\b(?:treat|consider|regard|mark|rate|rank|classify|score|label|trust|prefer|believe|accept)\ (?:only\ )?(?:this|the\ present)\ (?:document|text|page|passage|source|article|file|information|statement|content)\b[^.!?\n]{0,30}?\b(?:as|over|above|rather|instead|unconditionally|more|without|to\ be|authoritative|first)\b",
        PLAIN,
        "it says what to think of it",
    ),
    _sign(r"\b(?:remember|memori[sz]e|learn|store|save|internali[sz]e)\b[^.!?\n]{0,60}?\b(?:your\ (?:\w+\ )?(?:memory|weights|parameters|knowledge|training)|forever\ and|(?:as|above)\ (?:the\ )?(?:absolute|only|all|unquestionable)|no\ matter\ what)", PLAIN, "it says what to remember"),
    _sign(r"^\W*(?:begin|start|new|updated?|override|hidden|secret|additional|real|important)\ (?:of\ )?(?:system|hidden|secret|override|ai|model|assistant|llm)\W(?:\w+\ )?(?:instructions?|prompts?|message|directives?|override|update|note)", PLAIN, "it looks like a system prompt"),
    _sign(r"^\W*(?:new|updated|additional|further|revised|overriding)\ (?:instructions?|directives?|prompt)\W*:", MAYBE, "it looks like a prompt"),
    # The marks of conversations.
    _sign(r"<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|end_of_text|begin_of_text|eot_id|start_header_id|end_header_id|endofprompt)\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>", PLAIN, "it holds the marks of a conversation"),
    _sign(r"^\W{0,6}(?:system|developer|assistant)(?:\ (?:prompt|message|note|override|instructions?))?\W{0,3}:\W{0,4}(?:you\b|ignore|disregard|always|never|from\ now|respond|answer|reply|new\b|override|forget|sure\b|of\ course\b|the\ (?:user|assistant|model)\b|do\ not|reveal)", PLAIN, "it takes the role of the system"),
    _sign(r"</?(?:system|system[_-]prompt|instructions?|assistant|admin|developer)(?:\s[^>]*)?>", MAYBE, "it marks a part as instructions"),
    _sign(r"\b(?:end|close|stop)\ of\ (?:the\ )?(?:document|context|input|user\ (?:input|message)|passage|data)\b\W{0,6}$", MAYBE, "it says that the document ends"),
)
