"""A fitted model over `features`: shallow trees and a logistic regression, evaluated in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfedit.graders.features import features

Floats = NDArray[np.float64]
_FAR = 5.0  # Standard deviations beyond which the regression believes no feature.
_TOLD = 3


class Model:
    """The fitted weights, as `benchmarks/fit_grader.py` writes them."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.names: list[str] = weights["features"]
        self.rarity: dict[str, float] = weights["rarity"]
        self._means_F, self._scales_F, self._w_F = (np.array(weights[key]) for key in ("means", "scales", "linear"))
        self._bias: float = weights["bias"]
        self._nodes_TK, self._leaves_TL = np.array(weights["nodes"]), np.array(weights["leaves"])
        self._cuts_TK = np.array(weights["cuts"])
        self._base, self._share, self._shift = (weights[key] for key in ("base", "share", "shift"))

    def row(self, question: str, gold: str, prediction: str) -> Floats:
        """The features of one answer, [F]."""
        found = features(question, gold, prediction, self.rarity)
        return np.array([float(found[name]) for name in self.names])

    def log_odds(self, x_NF: Floats) -> Floats:
        """The log-odds that each row's answer is right, shifted so that above 0 means right, [N]."""
        z_NF = np.clip((x_NF - self._means_F) / self._scales_F, -_FAR, _FAR)
        linear_N = z_NF @ self._w_F + self._bias
        trees = np.arange(len(self._nodes_TK))
        place_NT = np.zeros((len(x_NF), len(trees)), dtype=np.int64)
        rows_N1 = np.arange(len(x_NF))[:, None]
        # A complete tree, stored level by level: node n goes on at 2n + 1, or at 2n + 2 if above the cut.
        for _ in range(self.depth):
            above_NT = x_NF[rows_N1, self._nodes_TK[trees, place_NT]] > self._cuts_TK[trees, place_NT]
            place_NT = 2 * place_NT + 1 + above_NT
        forest_N = self._base + self._leaves_TL[trees, place_NT - self._nodes_TK.shape[1]].sum(1)
        return np.asarray((1 - self._share) * forest_N + self._share * linear_N - self._shift)

    @property
    def depth(self) -> int:
        """How many questions a tree asks of a row."""
        return int(self._leaves_TL.shape[1]).bit_length() - 1

    def telling(self, x_F: Floats) -> list[str]:
        """The features that speak most for the verdict: without them, at their mean, it would be least clear."""
        without_FF = np.tile(x_F, (len(x_F), 1))
        np.fill_diagonal(without_FF, self._means_F)
        whole = float(self.log_odds(x_F[None])[0])
        lost_F = (whole - self.log_odds(without_FF)) * (1 if whole > 0 else -1)
        best = np.argsort(-lost_F, kind="stable")[:_TOLD]
        return [f"{self.names[f].replace('_', ' ')} {x_F[f]:.2g}" for f in best if lost_F[f] > 0]
