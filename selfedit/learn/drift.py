"""Drift of a version, measured once: with the version where it is cheap, and otherwise when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfedit.files.disk import writing
from selfedit.memory.recall import Recall
from selfedit.report.svg import Point, Series, line_chart
from selfedit.search.drift import DriftMeter, Said
from selfedit.store import Store
from selfedit.types import DriftFigures, Model, Version

CHEAP = 6
"""Prompts that are asked of a version that is made, where no limit demands more."""

_ELSEWHERE = "free some space, or use another --store"


def measured(meter: DriftMeter, store: Store, recall: Recall, base: Model, *, cheap: bool) -> tuple[DriftFigures, ...]:
    """The figures of the base and of a version as it is asked; none where it would cost more than a few answers.

    Args:
        cheap: measure only if the base's answers are known and few prompts are answered by something else.
    """
    key = base.base.fingerprint
    known = store.drift.get(key, tuple[Said, ...])
    if cheap and (known is None or meter.moved(recall) > CHEAP):
        return ()
    said = _base(meter, store, key, known)
    return meter.base_figures(said), meter.routed(recall, said)


def drift_of(
    meter: DriftMeter, store: Store, version: Version, recall: Recall, base: Model, one: Model | None
) -> tuple[DriftFigures, ...]:
    """All figures of a version, from the store if they were measured before.

    Args:
        one: the model whose only adapter is always on; None where there are several.
    """
    key = store.sha256(version.id)
    figures = store.known_drift(version)
    if len(figures) == (2 if one is None else 3):
        return figures
    said = _base(meter, store, base.base.fingerprint, store.drift.get(base.base.fingerprint, tuple[Said, ...]))
    routed = [each for each in figures if each.of == "routed"] or [meter.routed(recall, said)]
    figures = (meter.base_figures(said), *routed)
    if one is not None:
        # Where one model answers everything, it is on already.
        on = meter.always_on(one, said) if recall.is_routed else replace(routed[0], of="always on")
        figures = (*figures, on)
    _put(store, key, figures)
    return figures


def drawn(measured: Sequence[tuple[Version, tuple[DriftFigures, ...]]]) -> str:
    """The figures over the lineage, as SVG: divergence, and what else changed against the base."""
    lines: dict[str, list[Point]] = {}
    for place, (head, figures) in enumerate(measured, 1):
        base = next((each for each in figures if each.of == "base"), None)
        for each in figures:
            if base is None or each is base:
                continue
            values = {
                "divergence, nats": each.divergence,
                "declined": each.declined - base.declined,
                "declined, plain": each.declined_plain - base.declined_plain,
                "length": each.words / base.words - 1 if base.words else None,
                "repeats": each.repeats - base.repeats,
            }
            for name, value in values.items():
                if value is not None:
                    lines.setdefault(f"{name} ({each.of})", []).append(Point(place, value, label=head.id))
    series = [Series(name, tuple(points)) for name, points in lines.items()]
    return line_chart(series, title="Drift from the base", x_label="versions of the lineage", y_label="change")


def _base(meter: DriftMeter, store: Store, key: str, known: Sequence[Said] | None) -> Sequence[Said]:
    if known is None:
        known = meter.base()
        _put(store, key, known)
    return known


def _put(store: Store, key: str, value: object) -> None:
    with writing(store.path, _ELSEWHERE), store.locked():
        store.drift.put(key, value)
