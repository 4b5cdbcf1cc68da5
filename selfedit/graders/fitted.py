"""A fitted model over `features`: shallow trees and a logistic regression, evaluated in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfedit.graders.features import features

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
NO_CUT = 1e9
"""The cut of a node that does not split: all go left."""

_FAR = 5.0  # Standard deviations beyond which the regression believes no feature.
_TOLD = 3


class Model:
    """The fitted weights, as `benchmarks/fit_grader.py` writes them.

    F features; T complete trees of K inner nodes and L leaves, stored level by level: node n goes on at 2n + 1, or
    at 2n + 2 if the feature is above the cut.
    """

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.names: list[str] = weights["features"]
        self.rarity: dict[str, float] = weights["rarity"]
        self._means_F, self._scales_F, self._w_F = (np.array(weights[key]) for key in ("means", "scales", "linear"))
        self._bias: float = weights["bias"]
        self._nodes_TK, self._cuts_TK = np.array(weights["nodes"]), np.array(weights["cuts"])
        self._base, self._share, self._shift = (float(weights[key]) for key in ("base", "share", "shift"))
        self._values_TN = _expected(np.array(weights["leaves"]), self._cuts_TK)
        self._depth = int(self._nodes_TK.shape[1] + 1).bit_length() - 1
        self._trees = np.arange(len(self._nodes_TK))

    def row(self, question: str, gold: str, prediction: str) -> Floats:
        """The features of one answer, [F]."""
        values = features(question, gold, prediction, self.rarity)
        return np.array([float(values[name]) for name in self.names])

    def log_odds(self, x_NF: Floats) -> Floats:
        """The log-odds that each row's answer is right, shifted so that above 0 means right, [N]."""
        at_NT = np.zeros((len(x_NF), len(self._trees)), dtype=np.int64)
        for _ in range(self._depth):
            at_NT = self._down(x_NF, at_NT)
        forest_N = self._base + self._values_TN[self._trees, at_NT].sum(1)
        linear_N = self._standard(x_NF) @ self._w_F + self._bias
        return np.asarray((1 - self._share) * forest_N + self._share * linear_N - self._shift)

    def telling(self, x_F: Floats) -> list[str]:
        """The features that speak most for the verdict on [F], with their values.

        A feature speaks by its term of the regression and by how far each of its splits moves what a tree expects.
        """
        spoken_F = self._share * self._standard(x_F) * self._w_F
        at_1T = np.zeros((1, len(self._trees)), dtype=np.int64)
        for _ in range(self._depth):
            next_1T = self._down(x_F[None], at_1T)
            moved_T = self._values_TN[self._trees, next_1T[0]] - self._values_TN[self._trees, at_1T[0]]
            np.add.at(spoken_F, self._nodes_TK[self._trees, at_1T[0]], (1 - self._share) * moved_T)
            at_1T = next_1T
        spoken_F = spoken_F if self.log_odds(x_F[None])[0] > 0 else -spoken_F
        best = np.argsort(-spoken_F, kind="stable")[:_TOLD]
        return [f"{self.names[f].replace('_', ' ')} {x_F[f]:.2g}" for f in best if spoken_F[f] > 0]

    def _standard(self, x_NF: Floats) -> Floats:
        return np.asarray(np.clip((x_NF - self._means_F) / self._scales_F, -_FAR, _FAR))

    def _down(self, x_NF: Floats, at_NT: Ints) -> Ints:
        """The node one level below, for each row in each tree."""
        feature_NT = self._nodes_TK[self._trees, at_NT]
        above_NT = np.take_along_axis(x_NF, feature_NT, 1) > self._cuts_TK[self._trees, at_NT]
        return np.asarray(2 * at_NT + 1 + above_NT)


def _expected(leaves_TL: Floats, cuts_TK: Floats) -> Floats:
    """The value of every node, [T, K + L]: a leaf's own, and for an inner node the mean of the two below."""
    inner = cuts_TK.shape[1]
    values_TN = np.concatenate([np.zeros_like(cuts_TK), leaves_TL], 1)
    for node in reversed(range(inner)):
        left_T, right_T = values_TN[:, 2 * node + 1], values_TN[:, 2 * node + 2]
        values_TN[:, node] = np.where(cuts_TK[:, node] >= NO_CUT, left_T, (left_T + right_T) / 2)
    return values_TN
