# SPDX-License-Identifier: Apache-2.0
"""What a map says of the frames and settings it was learned from."""
from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch

from dsac_ros.config import MappingConfig, as_dict
from dsac_ros.map_file import Map
from dsac_ros.mapping.dataset import Dataset

KEYFRAMES = 100


def describe(data: Dataset, config: MappingConfig, encoder_id: str, name: str,
             map_frame: str, network_focal_px: float, known: Map | None = None) -> dict[str, Any]:
    """The header of a map, but for what is measured after the training.

    network_focal_px is the focal length of the images that the network sees. What is known
    already is told along with it.
    """
    low, high = data.bounds
    path = keyframes(data)
    if known:
        old = known.header
        low = np.minimum(low, old['bounds']['min']).tolist()
        high = np.maximum(high, old['bounds']['max']).tolist()
        path = sparse([*old['keyframes'], *path])
    return {
        'name': name,
        'map_frame': map_frame,
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'frames': (len(data.views) + len(data.held_out)
                   + (known.header['frames'] if known else 0)),
        'origin': data.origin.tolist(),
        'bounds': {'min': low, 'max': high},
        'keyframes': path,
        'recipe': config.recipe,
        'encoder_id': encoder_id,
        'short_side': config.short_side,
        'network_focal_px': network_focal_px,
        'image_size_wh': list(data.views[0].image.shape[::-1]),
        'pose_agreement': as_dict(data.pose_agreement) if data.pose_agreement else None,
        'focal_px': float(data.views[0].matrix[0, 0]),
        'provenance': {'torch': torch.__version__, 'config': as_dict(config),
                       'depth': any(view.depth is not None for view in data.views),
                       **({'updated': known.id} if known else {})},
    }


def keyframes(data: Dataset) -> list[list[float]]:
    """Up to KEYFRAMES views, for a picture of the map: position [m], camera's down and ahead."""
    rows = []
    digits = 3 - math.floor(math.log10(data.scale))  # whatever the unit is
    for view in sparse(data.views):
        pose = view.scene_from_camera
        position = np.round(data.origin + data.scale * pose[:3, 3], digits)
        rows.append([*position.tolist(), *np.round(pose[:3, 1:3].T.ravel(), 3).tolist()])
    return rows


def sparse(rows: list[Any]) -> list[Any]:
    """At most KEYFRAMES of them, evenly spread."""
    return rows[::max(1, math.ceil(len(rows) / KEYFRAMES))]
