# SPDX-License-Identifier: Apache-2.0
"""Pairs of views and the feature matches between them that images alone verify.

Neither poses nor intrinsics take part: pairs are chosen along the order of the views, and a match
counts where a fundamental matrix explains it (RANSAC, Fischler and Bolles, CACM 1981).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from dsac_ros.alignment.features import mutual, root_sift
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.parallel import in_parallel

SHORT_SIDE = 240  # of the images that features are found in: enough, in a quarter of the time
FEATURES = 800
EPIPOLAR_PX = 1.0  # of a verified match, in those images
LEAST_MATCHES = 20  # verified ones of a pair
MOST_MATCHES = 100  # kept of a pair
ANCHORS = 12  # views from which partners are looked for along the order
PARTNERS = 2  # of an anchor
MISSES = 3  # steps without a match after which an anchor has no further partner
MOTION = (0.06, 0.03)  # median motion of a pair's matches [short side]; the second if need be
ENOUGH_PAIRS = 10  # below that, pairs are also looked for among views that are no neighbours
MOST_VIEWS = 40  # that are described for it
MOST_TRIES = 300


@dataclass(frozen=True)
class ViewPairs:
    """P pairs of views with M verified matches between them.

    first and second (P,) are indices of views; pair (M,) says whose match it is, in_first and
    in_second (M, 2) where it is seen [px].
    """

    first: np.ndarray
    second: np.ndarray
    pair: np.ndarray
    in_first: np.ndarray
    in_second: np.ndarray

    def __len__(self) -> int:
        """The number of pairs."""
        return len(self.first)


def find_pairs(
    views: Sequence[View], progress: Callable[[float], None] = lambda share: None
) -> ViewPairs:
    """Find pairs of views that see the same from places or in directions that differ."""
    matcher = _Matcher(views)
    count = len(views)
    anchors = np.unique(np.linspace(0, count - 2, min(ANCHORS, count - 1)).astype(int))
    partnered = in_parallel(lambda anchor: _partners(matcher, anchor), anchors.tolist())
    for done, _ in enumerate(partnered, 1):
        progress(done / len(anchors))
    if len(matcher.moving(MOTION[0])) < ENOUGH_PAIRS:
        _anywhere(matcher)
    motions = [motion for motion in MOTION if len(matcher.moving(motion)) >= ENOUGH_PAIRS]
    return _stacked(matcher.moving((motions or [MOTION[-1]])[0]))


class _Matcher:
    """Matches pairs of views, describing each view once; threads may share it."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = views
        self.features: dict[int, tuple[np.ndarray, np.ndarray, float]] = {}
        self.found: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def motion(self, first: int, second: int) -> float:
        """Median motion of the pair's verified matches [short side]; NaN where there are none."""
        key = first, second
        if key not in self.found:
            self.found[key] = self._verified(first, second)
        in_first, in_second = self.found[key]
        if len(in_first) < LEAST_MATCHES:
            return np.nan
        short_side = min(self.views[second].image.shape)
        return float(np.median(np.linalg.norm(in_first - in_second, axis=1))) / short_side

    def moving(self, least: float) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
        """The pairs found so far whose matches move by so much."""
        return {
            pair: self.found[pair] for pair in sorted(self.found) if self.motion(*pair) >= least
        }

    def _verified(self, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (K, 2) in both views of the matches that a fundamental matrix explains."""
        (in_first, a, scale), (in_second, b, _) = self._described(first), self._described(second)
        pairs = mutual(a, b)
        in_first, in_second = in_first[pairs[:, 0]], in_second[pairs[:, 1]]
        if len(pairs) < LEAST_MATCHES:
            return in_first[:0], in_second[:0]
        # not by OpenCV's USAC, which fails an assertion where a plane is all there is
        _, good = cv2.findFundamentalMat(
            in_first, in_second, cv2.FM_RANSAC, EPIPOLAR_PX / scale, 0.999, 2000
        )
        good = np.zeros(len(pairs), bool) if good is None else good.ravel() > 0
        return in_first[good], in_second[good]

    def _described(self, index: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Pixels and descriptors of a view, and the scale at which they were found."""
        if index not in self.features:
            view = self.views[index]
            scale = min(1.0, SHORT_SIDE / min(view.image.shape))
            image: np.ndarray = view.image
            mask: np.ndarray = view.mask.astype(np.uint8)
            if scale < 1.0:
                size_wh = tuple(round(scale * side) for side in image.shape[::-1])
                image = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
                mask = cv2.resize(mask, size_wh, interpolation=cv2.INTER_NEAREST)
            pixels, descriptors = root_sift(image, FEATURES, mask)
            ratio = np.array(view.image.shape[::-1]) / image.shape[::-1]
            self.features[index] = (pixels + 0.5) * ratio - 0.5, descriptors, scale
        return self.features[index]


def _partners(matcher: _Matcher, anchor: int) -> None:
    """Match an anchor with views at doubled steps until some show enough motion."""
    step, partners, misses = 1, 0, 0
    while anchor + step < len(matcher.views) and partners < PARTNERS and misses < MISSES:
        motion = matcher.motion(anchor, anchor + step)
        misses = misses + 1 if np.isnan(motion) else 0
        partners += bool(motion >= MOTION[0])
        step *= 2


def _anywhere(matcher: _Matcher) -> None:
    """Match views whatever their order: that of a collection of photographs says nothing."""
    count = len(matcher.views)
    spread = np.linspace(0, count - 1, min(count, MOST_VIEWS)).astype(int).tolist()
    described = sorted({*spread, *sorted(matcher.features)[:MOST_VIEWS]})
    pairs = np.array(list(combinations(described, 2)))
    for first, second in np.random.default_rng(0).permutation(pairs)[:MOST_TRIES].tolist():
        matcher.motion(first, second)
        if len(matcher.moving(MOTION[0])) >= ENOUGH_PAIRS:
            return


def _stacked(found: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]) -> ViewPairs:
    """The pairs with at most MOST_MATCHES of each one's matches."""
    rows = [
        np.linspace(0, len(a) - 1, min(len(a), MOST_MATCHES)).astype(int)
        for a, _ in found.values()
    ]
    in_first, in_second = (
        np.concatenate(
            [np.zeros((0, 2)), *(both[side][kept] for both, kept in zip(found.values(), rows))]
        )
        for side in (0, 1)
    )
    first, second = np.array(list(found), dtype=int).reshape(-1, 2).T
    pair = np.repeat(np.arange(len(found)), [len(kept) for kept in rows])
    return ViewPairs(first, second, pair, in_first, in_second)
