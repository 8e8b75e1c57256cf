# SPDX-License-Identifier: Apache-2.0
"""Images of places that stand in a map twice, by the views that mapping found twins of."""

from __future__ import annotations

from collections.abc import Sequence

from dsac_ros.alignment.feature_localizer import FeatureLocalizer
from dsac_ros.compute.frame_cache import FrameCache
from dsac_ros.geometry.resample import Resampler
from dsac_ros.types import Frame

VIEWS = 5  # most similar mapping views that tell where an image was taken

AMBIGUOUS = (
    'the place has a twin in the map, and no guess, odometry or localizer tells which of the two '
    'the image shows'
)


class TwinCheck:
    """Tells of an image whether its place has a twin in the map."""

    def __init__(self, twin_views: Sequence[int], features: FeatureLocalizer) -> None:
        """Take the mapping views that have twins (`mapping.twins`), and the points of the map."""
        self._twins, self._features = frozenset(twin_views), features

    def __bool__(self) -> bool:
        """Return True if any place of the map has a twin."""
        return bool(self._twins)

    def shows_twin(self, frame: Frame, pinhole: Resampler, cache: FrameCache | None) -> bool:
        """Return True if most of the views that are most similar to an image have a twin."""
        if not self._twins:
            return False
        views = self._features.similar_views(frame, pinhole, VIEWS, cache)
        return 2 * len(self._twins.intersection(views)) > len(views)
