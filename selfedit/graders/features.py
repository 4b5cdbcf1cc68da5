"""What a small model can know of a question, its gold answer and a prediction, as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz
from rapidfuzz.distance import JaroWinkler

from selfedit.graders.synonyms import related
from selfedit.graders.tokens import Text, main_part, text_of
from selfedit.graders.words import NEGATIONS, STOP_WORDS, content, sound, stem, words
from selfedit.text.matching import answer_in_passage

_SENTENCE = re.compile(r"(?<=[.!?;])\s+(?=[A-Z\"'(])|\n")
_PARTS = re.compile(r",| and | or |;|/|&")
_HEDGES = re.compile(
    r"not (?:been )?(?:explicitly |directly )?(?:mention|specif|provid|stat|known|clear|certain|possible|sure)"
    r"|(?:does|do|did)(?: not|n't) (?:specify|mention|provide|state|have)|no (?:specific|information|mention)"
    r"|unknown|unclear|i (?:do not|don't) know|cannot (?:be )?determine",
    re.IGNORECASE,
)
_PERIOD = re.compile(r"\b(\d{3}0)s\b|\b(\d{1,2})(?:st|nd|rd|th)[ -]centur", re.IGNORECASE)
_YES_NO = re.compile(r"^(?:is|are|was|were|do|does|did|can|could|has|have|had|will|would|should)\b", re.IGNORECASE)
_KINDS = ("who", "whom", "when", "where", "why", "how many", "how much", "how", "which", "what")


def features(question: str, gold: str, prediction: str, rarity: Mapping[str, float]) -> dict[str, float]:
    """Named features; most lie between 0 and 1.

    Args:
        rarity: how much a stem's presence says, from 0 to 1; stems not in it are rare, 1.
    """
    head = main_part(question, prediction)
    asked, wanted, said = text_of(question), text_of(gold), text_of(head)
    first = text_of(next((part for part in _SENTENCE.split(head) if part.strip()), ""))
    values = _containment(gold, prediction, asked, wanted, said, first)
    values |= _overlap(asked, wanted, said, first, rarity)
    values |= _strings(asked, wanted, said, first)
    values |= _figures(asked, wanted, said, first)
    values |= _names(asked, wanted, said)
    values |= _manner(asked, wanted, said, prediction, head)
    values |= _question(question)
    return values


def _neighbours(asked: Text, wanted: Text, said: Text, at: int) -> dict[str, float]:
    """What stands around the gold answer where it is said word for word: more words of a name, 'or', 'and'."""
    before = said.flat[:at].split() if at >= 0 else []
    after = said.flat[at + len(wanted.flat) :].split() if at >= 0 else []
    new_before = bool(before) and before[-1] not in STOP_WORDS and stem(before[-1]) not in asked.stems
    new_after = bool(after) and after[0] not in STOP_WORDS and stem(after[0]) not in asked.stems
    return {
        "new_before": new_before,
        "new_after": new_after,
        "or_beside": before[-1:] == ["or"] or after[:1] == ["or"],
        "and_beside": before[-1:] == ["and"] or after[:1] == ["and"],
        "said_times": said.flat.count(wanted.flat) if at >= 0 else 0,
    }


def _containment(gold: str, prediction: str, asked: Text, wanted: Text, said: Text, first: Text) -> dict[str, float]:
    inside = f" {' '.join(wanted.content)} " in f" {' '.join(said.content)} " if wanted.content else False
    at = said.flat.find(wanted.flat) if wanted.flat else -1
    return {
        "contains": answer_in_passage(gold, said.raw),
        "contains_anywhere": answer_in_passage(gold, prediction),
        "contains_first": answer_in_passage(gold, first.raw),
        "contains_stems": inside,
        "same_stems": bool(wanted.stems) and wanted.stems == said.stems,
        "within_gold": bool(said.content) and f" {' '.join(said.content)} " in f" {' '.join(wanted.content)} ",
        "place": at / max(1, len(said.flat)) if at >= 0 else 1.0,
        "at_start": at == 0,
        "at_end": at >= 0 and at + len(wanted.flat) >= len(said.flat),
        **_neighbours(asked, wanted, said, at),
        "negated": at >= 0 and bool(NEGATIONS & set(said.flat[:at].split()[-4:])),
    }


def _near(stem_: str, others: frozenset[str]) -> float:
    """How near a stem comes to the nearest of others: 1 the same, 0 unlike all."""
    if stem_ in others:
        return 1.0
    best = 0.0
    for other in others:
        if stem_[0].isdigit() or other[0].isdigit():
            continue
        if related(stem_, other):
            best = max(best, 0.9)
        elif len(stem_) > 3 and len(other) > 3:
            short = min(len(stem_), len(other))
            if short >= 4 and stem_[:short] == other[:short]:
                best = max(best, 0.8)
            else:
                likeness = JaroWinkler.similarity(stem_, other)
                best = max(best, (likeness - 0.8) * 4 if likeness > 0.8 else 0.0)
                if short >= 5 and sound(stem_) == sound(other):
                    best = max(best, 0.85)
    return min(best, 1.0)


def _share(pairs: Sequence[tuple[float, float]]) -> float:
    """The mean of values with weights; 0 if there is none."""
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else 0.0


def _overlap(asked: Text, wanted: Text, said: Text, first: Text, rarity: Mapping[str, float]) -> dict[str, float]:
    def weight(stem_: str) -> float:
        return rarity.get(stem_, 1.0)

    new_wanted = [s for s in wanted.content if s not in asked.stems] or wanted.content
    new_said = [s for s in said.content if s not in asked.stems]
    near = {s: _near(s, said.stems) for s in wanted.content}
    exact = {s: float(s in said.stems) for s in wanted.content}
    novel = frozenset(new_said)
    recall_new = _share([(exact[s], weight(s)) for s in new_wanted])
    precision = _share([(_near(s, wanted.stems), weight(s)) for s in new_said])
    soft_new = _share([(near[s], weight(s)) for s in new_wanted])
    missing = [weight(s) for s in new_wanted if near[s] < 0.75]
    hits = [i for i, s in enumerate(new_said) if _near(s, frozenset(new_wanted)) >= 0.75]
    pairs = set(zip(wanted.content, wanted.content[1:], strict=False))
    said_pairs = set(zip(said.content, said.content[1:], strict=False))
    first_new = [s for s in first.content if s not in asked.stems]
    return {
        "recall": _share([(exact[s], 1.0) for s in wanted.content]),
        "recall_rare": _share([(exact[s], weight(s)) for s in wanted.content]),
        "recall_new": recall_new,
        "recall_soft": _share([(near[s], weight(s)) for s in wanted.content]),
        "recall_soft_new": soft_new,
        "recall_soft_novel": _share([(_near(s, novel), weight(s)) for s in new_wanted]),
        "recall_first": _share([(_near(s, first.stems), weight(s)) for s in new_wanted]),
        "best_near": max((near[s] for s in new_wanted), default=0.0),
        "worst_near": min((near[s] for s in new_wanted), default=0.0),
        "precision": precision,
        "precision_first": _share([(_near(s, wanted.stems), weight(s)) for s in first_new]),
        "f1": 2 * precision * soft_new / max(1e-9, precision + soft_new),
        "missing": sum(missing),
        "missing_most": max(missing, default=0.0),
        "hit_weight": sum(weight(s) * near[s] for s in new_wanted),
        "first_near": near.get(new_wanted[0], 0.0) if new_wanted else 0.0,
        "last_near": near.get(new_wanted[-1], 0.0) if new_wanted else 0.0,
        "pair_recall": len(pairs & said_pairs) / len(pairs) if pairs else recall_new,
        "gold_in_question": _share([(float(s in asked.stems), weight(s)) for s in wanted.content]),
        "said_in_question": _share([(float(s in asked.stems), 1.0) for s in said.content]),
        "question_in_said": _share([(float(s in said.stems), 1.0) for s in asked.content]),
        "new_said": math.log1p(len(new_said)),
        "new_said_first": math.log1p(len(first_new)),
        "new_wanted": math.log1p(len(new_wanted)),
        "first_hit": hits[0] / len(new_said) if hits else 1.0,
        "first_hit_index": math.log1p(hits[0]) if hits else 4.0,
        "last_hit": (len(new_said) - 1 - hits[-1]) / len(new_said) if hits else 1.0,
        "rarity": _share([(weight(s), 1.0) for s in wanted.content]),
    }


def _grams(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[i : i + 3] for i in range(len(padded) - 2)}


def _strings(asked: Text, wanted: Text, said: Text, first: Text) -> dict[str, float]:
    a, b = wanted.flat, said.flat
    grams, said_grams = _grams(a), _grams(b)
    new = grams - _grams(asked.flat)
    bare = " ".join(word for word in said.words if stem(word) not in asked.stems)
    return {
        "ratio": fuzz.ratio(a, b) / 100,
        "partial": fuzz.partial_ratio(a, b) / 100 if len(a) <= len(b) else fuzz.ratio(a, b) / 100,
        "partial_either": fuzz.partial_ratio(a, b) / 100,
        "partial_first": fuzz.partial_ratio(a, first.flat) / 100,
        "partial_bare": fuzz.partial_ratio(a, bare) / 100,
        "ratio_bare": fuzz.ratio(a, bare) / 100,
        "token_set": fuzz.token_set_ratio(a, b) / 100,
        "token_sort": fuzz.token_sort_ratio(a, b) / 100,
        "token_sort_bare": fuzz.token_sort_ratio(a, bare) / 100,
        "partial_sort": fuzz.partial_token_sort_ratio(a, b) / 100,
        "grams": len(grams & said_grams) / max(1, len(grams)),
        "grams_new": len(new & said_grams) / len(new) if new else 1.0,
        "question_like": fuzz.token_set_ratio(asked.flat, b) / 100,
        "initials": _initials(wanted, said),
    }


def _initials(wanted: Text, said: Text) -> float:
    """1 where one of two texts spells out the other's abbreviation."""
    for short, long in ((wanted, said), (said, wanted)):
        letters = "".join(word[0] for word in long.words)
        full = "".join(word[0] for word in long.words if word not in STOP_WORDS)
        for token in re.findall(r"\b[A-Z]{2,6}s?\b", short.raw.replace(".", "")):
            letter = token.rstrip("s").lower()
            if letter in letters or letter in full:
                return 1.0
    return 0.0


def _is_year(value: float) -> bool:
    return value == int(value) and 1000 <= value <= 2100


def _same_period(wanted: Text, given: Sequence[float]) -> bool:
    """Whether a year lies in the decade, the century or the span of years that the gold answer names."""
    years = [int(value) for value in wanted.numbers if _is_year(value)]
    if len(years) == 2 and years[0] < years[1]:
        return any(years[0] <= value <= years[1] for value in given)
    period = _PERIOD.search(wanted.raw)
    if period is None:
        return False
    first, last = int(period[1] or 0), int(period[1] or 0) + 9
    if period[2]:
        first, last = 100 * (int(period[2]) - 1), 100 * int(period[2])
    return any(first <= value <= last for value in given)


def _figures(asked: Text, wanted: Text, said: Text, first: Text) -> dict[str, float]:
    gold, given = set(wanted.numbers), set(said.numbers)
    new = [value for value in said.numbers if value not in asked.numbers]
    foreign = [value for value in new if value not in gold]
    years, given_years = ({v for v in values if _is_year(v)} for values in (gold, new))
    gaps = [abs(math.log((v + 1) / (g + 1))) for g in gold - years for v in new if v not in given_years]
    apart = [abs(v - g) for g in years for v in given_years]
    only = bool(gold) and all(word[0].isdigit() or word in STOP_WORDS for word in wanted.words)
    return {
        "gold_number": bool(gold),
        "gold_only_number": only,
        "gold_year": bool(years),
        "numbers_kept": len(gold & given) / len(gold) if gold else 0.5,
        "number_lost": bool(gold) and not gold <= given,
        "number_foreign": min(3, len(foreign)),
        "number_conflict": bool(gold) and bool(foreign) and not gold & given,
        "number_first": bool(gold) and bool(new) and new[0] in gold,
        "number_gap": min(gaps, default=5.0) if gold else 0.0,
        "number_close": min(gaps, default=5.0) < 0.05,
        "years_apart": math.log1p(min(apart, default=100.0)) if years else 0.0,
        "same_period": _same_period(wanted, new),
        "period_differs": bool(_PERIOD.search(wanted.raw)) and bool(given_years) and not _same_period(wanted, new),
        "number_without": bool(new) and not gold,
    }


def _names(asked: Text, wanted: Text, said: Text) -> dict[str, float]:
    gold = wanted.names - asked.names or wanted.names
    foreign = said.names - asked.stems - wanted.stems
    return {
        "gold_names": min(4, len(gold)),
        "gold_is_name": bool(gold) and len(gold) >= len(wanted.stems - asked.stems),
        "names_kept": len(gold & said.stems) / len(gold) if gold else 0.5,
        "names_foreign": math.log1p(len(foreign)),
        "name_conflict": bool(gold) and bool(foreign) and not gold & said.stems,
    }


def _manner(asked: Text, wanted: Text, said: Text, prediction: str, head: str) -> dict[str, float]:
    parts = [text_of(part.strip()) for part in _PARTS.split(wanted.raw) if content(words(part))]
    named = [all(_near(s, said.stems) >= 0.75 for s in part.content) for part in parts]
    halves = [any(_near(s, said.stems) >= 0.75 for s in part.content) for part in parts]
    negative = {bool(NEGATIONS & set(text.words)) or "n't" in text.raw for text in (wanted, said)}
    return {
        "empty": not said.words,
        "said_words": math.log1p(len(said.words)),
        "gold_words": math.log1p(len(wanted.words)),
        "length_ratio": math.log((len(said.words) + 1) / (len(wanted.words) + 1)),
        "sentences": min(5, len([s for s in _SENTENCE.split(head) if s.strip()])),
        "cut": len(prediction.strip()) - len(head) > 20,
        "unfinished": bool(head) and head[-1].isalnum() and len(said.words) > 20,
        "commas": min(6, head.count(",")),
        "or": " or " in head and " or " not in wanted.raw,
        "but": bool(re.search(r"\b(?:but|however|although|though|rather|instead)\b", head)),
        "hedge": bool(_HEDGES.search(head)),
        "negation_differs": len(negative) == 2,
        "said_negative": bool(NEGATIONS & set(said.words)),
        "parts": min(5, len(parts)),
        "parts_named": sum(named) / len(named) if named else 0.0,
        "parts_touched": sum(halves) / len(halves) if halves else 0.0,
    }


def _question(question: str) -> dict[str, float]:
    low = question.casefold().strip()
    values = [kind for kind in _KINDS if re.search(rf"\b{kind}\b", low)]
    kind = values[0] if values else "other"
    made = {f"asks_{name.replace(' ', '_')}": float(kind == name) for name in _KINDS if name != "whom"}
    made["asks_yes_no"] = float(bool(_YES_NO.match(low)))
    made["asks_choice"] = float(" or " in low)
    return made
