# SPDX-License-Identifier: Apache-2.0
"""What a map says of the frames and settings it was learned from."""
from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

import numpy as np
import torch

from dsac_ros.config import MappingConfig, as_dict
from dsac_ros.mapping.dataset import Dataset

KEYFRAMES = 100


def describe(data: Dataset, config: MappingConfig, encoder_id: str,
             name: str, map_frame: str) -> dict[str, Any]:
    """The header of a map, but for what is measured after the training."""
    low, high = data.bounds
    return {
        'name': name,
        'map_frame': map_frame,
        'created': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'frames': len(data.views) + len(data.held_out),
        'origin': data.origin.tolist(),
        'bounds': {'min': low, 'max': high},
        'keyframes': keyframes(data),
        'recipe': config.recipe,
        'encoder_id': encoder_id,
        'short_side': config.short_side,
        'image_size_wh': list(data.camera.size_wh),
        'focal_px': float(data.camera.matrix[0, 0]),
        'provenance': {'torch': torch.__version__, 'config': as_dict(config),
                       'depth': any(view.depth is not None for view in data.views)},
    }


def keyframes(data: Dataset) -> list[list[float]]:
    """Up to KEYFRAMES views for a picture of the map: position [m], camera's down and ahead."""
    rows = []
    digits = 3 - math.floor(math.log10(data.scale))  # whatever the unit is
    for view in data.views[::math.ceil(len(data.views) / KEYFRAMES)]:
        pose = view.scene_from_camera
        position = np.round(data.origin + data.scale * pose[:3, 3], digits)
        rows.append([*position.tolist(), *np.round(pose[:3, 1:3].T.ravel(), 3).tolist()])
    return rows
