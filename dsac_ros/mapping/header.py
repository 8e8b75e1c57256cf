# SPDX-License-Identifier: Apache-2.0
"""Header of a map: the frames and settings that it was learned from."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch

from dsac_ros.config import MappingConfig, as_dict
from dsac_ros.map_file import Map
from dsac_ros.mapping.data.dataset import Dataset

KEYFRAMES = 100


def make_header(
    data: Dataset,
    config: MappingConfig,
    encoder_id: str,
    name: str,
    map_frame: str,
    network_focal_px: float,
    base_map: Map | None = None,
) -> dict[str, Any]:
    """Make the header of a map, but for what is measured after the training.

    network_focal_px is the focal length of the images that the network sees. Of a map that is
    updated frames, bounds and keyframes are included.
    """
    return {
        **describe_frames(data, config, name, map_frame, base_map),
        'encoder_id': encoder_id,
        'network_focal_px': network_focal_px,
    }


def describe_frames(
    data: Dataset,
    config: MappingConfig,
    name: str,
    map_frame: str,
    base_map: Map | None = None,
) -> dict[str, Any]:
    """Return the fields of a header that say what a map of any system was learned from."""
    low, high = data.bounds
    path = keyframes(data)
    if base_map:
        old = base_map.header
        low = np.minimum(low, old['bounds']['min']).tolist()
        high = np.maximum(high, old['bounds']['max']).tolist()
        path = sparse([*old['keyframes'], *path])
    return {
        'name': name,
        'map_frame': map_frame,
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'frames': (
            len(data.views) + len(data.held_out) + (base_map.header['frames'] if base_map else 0)
        ),
        'origin': data.origin.tolist(),
        'bounds': {'min': low, 'max': high},
        'keyframes': path,
        'recipe': config.recipe,
        'short_side': config.short_side,
        'image_size_wh': list(data.views[0].image.shape[::-1]),
        'pose_agreement': as_dict(data.pose_agreement) if data.pose_agreement else None,
        'focal_px': float(data.views[0].matrix[0, 0]),
        'focal_range_px': focal_lengths(data, base_map),
        'provenance': {
            'torch': torch.__version__,
            'config': as_dict(config),
            'depth': any(view.depth is not None for view in data.views),
            **({'updated': base_map.id} if base_map else {}),
        },
    }


def focal_lengths(data: Dataset, base_map: Map | None) -> list[float]:
    """Return the least and largest focal length [px] of the images, at the map's short side."""
    focals = [float(view.matrix[0, 0]) for view in data.views]
    if base_map:
        focals += base_map.header.get('focal_range_px') or [base_map.header['focal_px']]
    return [min(focals), max(focals)]


def keyframes(data: Dataset) -> list[list[float]]:
    """Return up to KEYFRAMES views to draw: position [m], y and z axes of the camera."""
    rows = []
    digits = 3 - math.floor(math.log10(data.scale))  # whatever the unit is
    for view in sparse(data.views):
        pose = view.scene_from_camera
        position = np.round(data.origin + data.scale * pose[:3, 3], digits)
        rows.append([*position.tolist(), *np.round(pose[:3, 1:3].T.ravel(), 3).tolist()])
    return rows


def sparse(rows: list[Any]) -> list[Any]:
    """Select at most KEYFRAMES rows, evenly spread."""
    return rows[:: max(1, math.ceil(len(rows) / KEYFRAMES))]
