"""The tree that is drawn, and figures that are read back from words."""

from __future__ import annotations

import itertools

from selfedit.gates.paired import Change, points
from selfedit.serve.page.graph import lines


def test_a_tree_with_a_branch() -> None:
    drawn = lines([("v1", "base"), ("v2", "v1"), ("v3", "v1"), ("p1", "v3"), ("r1", "gone")])
    assert [line.id for line in drawn] == ["r1", "p1", "v3", "v2", "v1", "base"]
    by_id = {line.id: line for line in drawn}
    assert not by_id["r1"].above and by_id["r1"].below  # Its parent is gone: it stands on the base.
    assert by_id["p1"].at == by_id["v3"].at == 1 and by_id["v3"].above
    assert by_id["v2"].at == 2 and not by_id["v2"].above and by_id["v2"].passing == (0, 1)
    assert by_id["v1"].at == 1 and by_id["v1"].joining == (2,)
    assert by_id["base"].at == 0 and by_id["base"].joining == (1,) and not by_id["base"].below


def test_a_long_line_stays_in_one_lane() -> None:
    ids = ["base", *(f"v{number}" for number in range(1, 1001))]
    drawn = lines([(id, parent) for parent, id in itertools.pairwise(ids)])
    assert len(drawn) == 1001 and {line.at for line in drawn} == {0} and not any(line.passing for line in drawn)


def test_points_are_those_that_a_change_describes() -> None:
    for change in (Change(0, 0, 1), Change(3, 0, 120), Change(1, 8, 30), Change(2, 2, 160)):
        said = points(f"{change.describe()}; a loss of more than 1.7 points is excluded at 95%")
        assert said is not None and abs(said - 100 * change.difference) < 0.06
    assert points("0.000 nats a token from the base") is None
