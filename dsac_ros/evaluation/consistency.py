# SPDX-License-Identifier: Apache-2.0
"""Consistency of covariances: NEES and coverage, of all accepted poses and by difficulty.

NEES is the normalized estimation error squared, e^T P^-1 e: chi-square distributed if a covariance
is that of its errors, so that its mean is the number of dimensions (Bar-Shalom, Li and
Kirubarajan, Estimation with Applications to Tracking and Navigation, 2001, section 5.4).

A pose is as difficult as its covariance predicts: sqrt(trace) of the position's part. It is known
before the truth is, so that a robot may act on it, and every system with a covariance has it. An
order by the error itself would be circular: the quarter with the largest errors always looks
overconfident. Equal predictions are ordered by confidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaincinv

from dsac_ros.metrics import Report

DIFFICULTY = 'predicted error of the position, sqrt(trace) of its covariance; confidence if equal'
QUARTILES = 4
DIMENSIONS = {'position': 3, 'pose': 6}
#: Shares of a Gaussian within 1, 2, 3 sigma of one dimension.
SHARES = {'1sigma': 0.6826894921, '2sigma': 0.9544997361, '3sigma': 0.9973002039}
MEAN_SHARE = 0.95  # of the interval in which a consistent mean NEES lies


def chi_square_quantile(share: float, dimensions: float) -> float:
    """Return the value below which a share of a chi-square distribution lies."""
    return float(2 * gammaincinv(dimensions / 2, share))


def nees_summary(nees: np.ndarray, dimensions: int) -> dict[str, Any]:
    """Compare NEES values (F,) with a chi-square distribution.

    Returns:
        mean and median; expected_mean and expected_median, those of a consistent covariance;
        mean_interval, in which 95 % of the means of so many consistent values lie (independent
        ones: frames of one drive are less); coverage, the shares inside 1, 2, 3 sigma.
    """
    count = len(nees)
    tail = (1 - MEAN_SHARE) / 2
    return {
        'mean': float(nees.mean()) if count else np.nan,
        'expected_mean': dimensions,
        'mean_interval': [
            chi_square_quantile(share, dimensions * count) / count if count else np.nan
            for share in (tail, 1 - tail)
        ],
        'median': float(np.median(nees)) if count else np.nan,
        'expected_median': chi_square_quantile(0.5, dimensions),
        'coverage': {
            name: float((nees <= chi_square_quantile(share, dimensions)).mean())
            if count
            else np.nan
            for name, share in SHARES.items()
        },
    }


def by_difficulty(sigma_m: np.ndarray, confidence: np.ndarray) -> list[np.ndarray]:
    """Split poses into quartiles of difficulty.

    Args:
        sigma_m: predicted errors of positions (F,) [m].
        confidence: (F,) in [0, 1].

    Returns:
        Indices of each quartile, the easiest first; fewer quartiles of fewer than four poses.
    """
    order = np.lexsort((-confidence, sigma_m))
    return [rows for rows in np.array_split(order, QUARTILES) if len(rows)]


def consistency(report: Report) -> dict[str, Any]:
    """Summarize NEES and coverage of the accepted poses that have a covariance."""
    judged = np.flatnonzero(report.accepted & ~np.isnan(report.mahalanobis))
    quartiles = by_difficulty(report.sigma_m[judged], report.confidence[judged])
    return {
        'without_covariance': int(report.accepted.sum()) - len(judged),
        'difficulty': DIFFICULTY,
        'accepted': _group(report, judged),
        'quartiles': [_group(report, judged[rows]) for rows in quartiles],
    }


def _group(report: Report, rows: np.ndarray) -> dict[str, Any]:
    """Summarize some poses."""
    sigma = report.sigma_m[rows]
    return {
        'frames': len(rows),
        'sigma_m': [float(sigma.min()), float(sigma.max())] if len(rows) else [np.nan, np.nan],
        'median_translation_m': (
            float(np.median(report.translation_m[rows])) if len(rows) else np.nan
        ),
        'position': nees_summary(report.position_mahalanobis[rows], DIMENSIONS['position']),
        'pose': nees_summary(report.mahalanobis[rows], DIMENSIONS['pose']),
    }
