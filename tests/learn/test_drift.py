"""Drift is measured once, with the version where it is cheap, and a limit on it holds."""

from __future__ import annotations

import pytest

from selfedit.search.drift import DriftMeter
from tests.lineage import Library


def test_a_routed_version_is_the_bases_own_where_nothing_is_routed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.session()
    first = library.learnt(session, "lamp")
    assert first.drift == ()  # Nobody knows yet what the base says, and to ask it would cost.
    ((head, figures),) = session.drift()
    base, routed, on = figures
    assert (head.id, base.of, routed.of, on.of) == ("v1", "base", "routed", "always on")
    assert base.prompts == 60 and routed.moved <= 6 and on.moved == 60
    assert on.divergence is not None and routed.divergence is not None and on.divergence > routed.divergence
    if not routed.moved:
        assert (routed.divergence, routed.words, routed.declined) == (0.0, base.words, base.declined)
    with monkeypatch.context() as patch:
        patch.setattr(DriftMeter, "_written", _asked)
        assert session.drift()[0][1] == session.drift(measure=False)[0][1] == figures
    second = library.learnt(session, "bird")
    assert [each.of for each in second.drift] == ["base", "routed"]  # Cheap by now.


def _asked(*_: object) -> None:
    raise AssertionError("it was asked again")


def test_a_limit_holds_an_update_back(library: Library) -> None:
    session = library.session()
    library.learnt(session, "lamp")
    session.store.set_rules(b"drift:\n  divergence: 0.0000001\n", "rules.yaml")
    result = library.learn(session, "bird", memory="joint")
    assert result.version is None and result.rejected is not None and "drifts from the base" in result.reason
    session.store.set_rules(b"drift:\n  divergence: 100\n", "rules.yaml")
    version = library.learnt(session, "kite", memory="joint")
    assert [figure.gate for figure in version.gates] == ["drift"] and version.drift[1].moved == 60
