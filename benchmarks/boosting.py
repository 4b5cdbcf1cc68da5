"""Shallow trees boosted on the logistic loss, and a logistic regression, in numpy: enough to fit a grader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfedit.graders.fitted import NO_CUT

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Boosting:
    """How trees are grown. `sample_rows` and `sample_columns` are the shares that each tree sees."""

    trees: int = 200
    depth: int = 4
    rate: float = 0.05
    l2: float = 5.0
    least: float = 4.0
    bins: int = 48
    sample_rows: float = 0.7
    sample_columns: float = 0.2


def sigmoid(values: Floats) -> Floats:
    """The logistic function, elementwise."""
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -40, 40))))


def grow(x_NF: Floats, y_N: Floats, how: Boosting, seed: int) -> dict[str, Any]:
    """Boosted trees as plain lists: `base` and, for each tree, features, cuts (go right if above) and leaves."""
    rng = np.random.default_rng(seed)
    rows, columns = x_NF.shape
    cuts = [_cuts(x_NF[:, f], how.bins) for f in range(columns)]
    binned_NF = np.stack([np.searchsorted(cuts[f], x_NF[:, f], side="left") for f in range(columns)], 1)
    base = float(np.log(y_N.mean() / (1 - y_N.mean())))
    margin_N = np.full(rows, base)
    trees = []
    for _ in range(how.trees):
        p_N = sigmoid(margin_N)
        gradient_N, curve_N = p_N - y_N, np.maximum(p_N * (1 - p_N), 1e-6)
        seen_N = rng.random(rows) < how.sample_rows
        chosen = np.sort(rng.choice(columns, max(1, int(how.sample_columns * columns)), replace=False))
        tree, node_N = _tree(binned_NF, cuts, gradient_N * seen_N, curve_N * seen_N, chosen, how)
        margin_N += np.asarray(tree["leaves"])[node_N]
        trees.append(tree)
    return {"base": base, "trees": trees}


def _cuts(values: Floats, bins: int) -> Floats:
    unique = np.unique(values)
    middles = (unique[1:] + unique[:-1]) / 2
    if len(middles) > bins:
        middles = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.asarray(middles)


def _tree(
    binned_NF: Ints, cuts: list[Floats], gradient_N: Floats, curve_N: Floats, chosen: Ints, how: Boosting
) -> tuple[dict[str, Any], Ints]:
    """One complete binary tree, level by level, and the leaf that each row falls into."""
    width = how.bins + 2
    node_N = np.zeros(len(gradient_N), dtype=np.int64)
    features: list[int] = []
    limits: list[float] = []
    for level in range(how.depth):
        nodes = 2**level
        index_NC = (node_N[:, None] * len(chosen) + np.arange(len(chosen))) * width + binned_NF[:, chosen]
        size = nodes * len(chosen) * width
        shape = (nodes, len(chosen), width)
        flat = index_NC.ravel()
        g_KCB = np.bincount(flat, np.repeat(gradient_N, len(chosen)), size).reshape(shape).cumsum(2)
        h_KCB = np.bincount(flat, np.repeat(curve_N, len(chosen)), size).reshape(shape).cumsum(2)
        g_all, h_all = g_KCB[..., -1:], h_KCB[..., -1:]
        gain_KCB = g_KCB**2 / (h_KCB + how.l2) + (g_all - g_KCB) ** 2 / (h_all - h_KCB + how.l2)
        gain_KCB -= g_all**2 / (h_all + how.l2)
        gain_KCB[(h_KCB < how.least) | (h_all - h_KCB < how.least)] = 0
        best_K = gain_KCB.reshape(nodes, -1).argmax(1)
        right_N = np.zeros(len(node_N), dtype=np.int64)
        for node in range(nodes):
            column, place = divmod(int(best_K[node]), width)
            feature = int(chosen[column])
            split = gain_KCB[node, column, place] > 1e-9 and place < len(cuts[feature])
            features.append(feature)
            limits.append(float(cuts[feature][place]) if split else NO_CUT)
            if split:
                here = node_N == node
                right_N[here] = binned_NF[here, feature] > place
        node_N = 2 * node_N + right_N
    leaves = 2**how.depth
    g_L = np.bincount(node_N, gradient_N, leaves)
    h_L = np.bincount(node_N, curve_N, leaves)
    values_L = -how.rate * g_L / (h_L + how.l2)
    return {"features": features, "cuts": limits, "leaves": values_L.tolist()}, node_N


def regress(x_NF: Floats, y_N: Floats, l2: float, steps: int = 30) -> tuple[Floats, float]:
    """Weights and bias of a logistic regression with a ridge, by Newton's method."""
    rows, columns = x_NF.shape
    x_NG = np.concatenate([x_NF, np.ones((rows, 1))], 1)
    ridge_G = np.full(columns + 1, l2)
    ridge_G[-1] = 1e-6
    w_G = np.zeros(columns + 1)
    for _ in range(steps):
        p_N = sigmoid(x_NG @ w_G)
        gradient_G = x_NG.T @ (p_N - y_N) + ridge_G * w_G
        curve_GG = (x_NG * (p_N * (1 - p_N))[:, None]).T @ x_NG + np.diag(ridge_G)
        step_G = np.linalg.solve(curve_GG, gradient_G)
        w_G -= step_G
        if np.abs(step_G).max() < 1e-8:
            break
    return w_G[:-1], float(w_G[-1])
