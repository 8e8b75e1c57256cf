# SPDX-License-Identifier: Apache-2.0
"""Structure from motion of a scene at given poses: what a map keeps beside its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dsac_ros.alignment.point_map import PointMap
from dsac_ros.alignment.reference_image import ReferenceImage
from dsac_ros.config import MappingConfig
from dsac_ros.map_file import Map
from dsac_ros.mapping.data.dataset import Dataset
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.optim.parallel import in_parallel
from dsac_ros.mapping.sfm.focal_agreement import focal_error
from dsac_ros.mapping.sfm.matching import match
from dsac_ros.mapping.sfm.point_selection import point_map
from dsac_ros.mapping.sfm.reference_selection import as_view, select_reference_images
from dsac_ros.mapping.sfm.track_depth import with_depth
from dsac_ros.mapping.sfm.tracks import MAX_ERROR_PX, Tracks, linked


@dataclass(frozen=True)
class Reconstruction:
    """Tracks of a scene, and the parts of its map that are made of them.

    tracked are the mapping views with features, base those of the reference images of a map that
    is updated; tracks (precise ones) are of both. validation_points are of these views alone,
    points of the held-out views as well: what is measured on those must not know them, the map
    may. focal_error is the relative error of the focal lengths of the views.
    """

    tracked: list[View]
    base: list[View]
    tracks: Tracks
    references: list[ReferenceImage]
    validation_points: PointMap | None
    points: PointMap | None
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
    tracked = [view for view in data.views if view.features is not None]
    kept = list(base_map.reference_images) if base_map else []
    base = [as_view(reference, data.scale) for reference in kept]
    held_out = [view for view in data.held_out if view.features is not None]
    every_view = [*tracked, *base, *held_out]
    matches = match(every_view, MAX_ERROR_PX, progress)
    tracks, every_track = in_parallel(
        lambda some: linked(every_view, some),
        (matches.of_first(len(tracked) + len(base)), matches),
    )
    precise = tracks.precise()
    references = select_reference_images(
        [*tracked, *base], precise, data.scale, config.reference_images_mb * 1e6, kept
    )
    validation_points, points = (
        point_map(found, data.scale, config.points, base_map.points if base_map else None)
        for found in (tracks, every_track)
    )
    return Reconstruction(
        tracked,
        base,
        precise,
        references,
        validation_points,
        points,
        focal_error([*tracked, *base], tracks),
    )
