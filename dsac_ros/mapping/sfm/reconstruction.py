# SPDX-License-Identifier: Apache-2.0
"""Structure from motion of a scene at given poses: what a map keeps beside its network."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dsac_ros.alignment.point_map import PointMap
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.config import MappingConfig
from dsac_ros.map_file import Map
from dsac_ros.mapping.data.dataset import Dataset, left_out_stretches
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.parallel import in_parallel
from dsac_ros.mapping.sfm.focal_agreement import focal_error
from dsac_ros.mapping.sfm.matching import match
from dsac_ros.mapping.sfm.point_selection import point_map
from dsac_ros.mapping.sfm.reference_selection import as_view, select_reference_images
from dsac_ros.mapping.sfm.track_depth import with_depth
from dsac_ros.mapping.sfm.tracks import MAX_ERROR_PX, Tracks, linked


@dataclass(frozen=True)
class MapParts:
    """Reference images and points of a map: all of it but the network."""

    references: list[ReferenceImage]
    points: PointMap | None


@dataclass(frozen=True)
class Reconstruction:
    """Tracks of a scene, and the parts of its map that are made of them.

    tracked are the mapping views with features, base those of the reference images of a map that
    is updated; tracks are the precise ones of all views, the first of which are `tracked`.
    left_out are stretches of the mapping views: the measured parts know neither these nor the
    held-out views, so that their poses in it are those of queries. parts are those of the map that
    is written, of all views. focal_error is the relative error of the focal lengths of the views.
    """

    tracked: list[View]
    base: list[View]
    tracks: Tracks
    left_out: list[View]
    measured: MapParts
    parts: MapParts
    focal_error: float

    def mapping_views(self, data: Dataset, measured_depth_only: bool = False) -> list[View]:
        """Return the views to learn from, with depth by tracks unless only a sensor's counts.

        Views of the map that is updated are repeated to weigh as much as the new ones.
        """
        views = list(data.views)
        if not measured_depth_only:
            views = with_depth(views, self.tracked, self.tracks)
        if self.base:
            views += self.base * max(1, round(len(views) / len(self.base)))
        return views


def reconstruct(
    data: Dataset, config: MappingConfig, base_map: Map | None, progress: Callable[[float], None]
) -> Reconstruction:
    """Match features of the views, triangulate tracks, and select what the map keeps.

    base_map: map that is updated; its reference images are matched and kept, too.
    """
    tracked, held_out = (
        [view for view in views if view.features is not None]
        for views in (data.views, data.held_out)
    )
    base = [as_view(one, data.scale) for one in base_map.reference_images] if base_map else []
    every_view = [*tracked, *held_out, *base]
    matches = match(every_view, MAX_ERROR_PX, progress)
    stretches = left_out_stretches(len(tracked), len(held_out))
    kept = np.concatenate([~stretches, np.zeros(len(held_out), bool), np.ones(len(base), bool)])
    some_views = list(itertools.compress(every_view, kept))
    tracks, some_tracks = in_parallel(
        lambda given: linked(*given), ((every_view, matches), (some_views, matches.of(kept)))
    )
    parts, measured = (
        parts_of(views, found, data.scale, config, base_map)
        for views, found in ((every_view, tracks), (some_views, some_tracks))
    )
    return Reconstruction(
        tracked,
        base,
        tracks.precise(),
        list(itertools.compress(tracked, stretches)),
        measured,
        parts,
        focal_error(every_view, tracks),
    )


def parts_of(
    views: Sequence[View],
    tracks: Tracks,
    scale: float,
    config: MappingConfig,
    base_map: Map | None,
) -> MapParts:
    """Select the reference images and points of a map; the views of `base_map` are the last."""
    kept = base_map.reference_images if base_map else []
    return MapParts(
        select_reference_images(
            views, tracks.precise(), scale, config.reference_images_mb * 1e6, kept
        ),
        point_map(tracks, scale, config.points, base_map.points if base_map else None),
    )
