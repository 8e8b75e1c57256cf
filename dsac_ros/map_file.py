# SPDX-License-Identifier: Apache-2.0
"""Map of scene coordinates, one file a map (`map_container`).

The tensors are the head's, most of them in eight bits (`network.quantisation`), those of the
reference images (`alignment.reference_image`) and of the points (`alignment.point_map`). The
shared encoder is named by its id, unless it was tuned for the map, which then holds it, too.
Where a recipe learned a whole network for the scene, the header names it, and all its tensors are
the map's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsac_ros.errors import MapError
from dsac_ros.map_container import (
    DAMAGE,
    StoredMap,
    damaged,
    read_container,
    write_container,
)

if TYPE_CHECKING:
    from torch import nn

    from dsac_ros.alignment.point_map import PointMap
    from dsac_ros.alignment.reference_image import ReferenceImage
    from dsac_ros.network.scene_network import SceneNetwork

#: encoder_id of a map whose encoder learned end to end with its head: the file holds both.
OWN_ENCODER = 'own'


@dataclass(frozen=True)
class Map(StoredMap):
    """A loaded map; its network is relative to `origin`, too."""

    network: SceneNetwork


def save_map(
    path: Path,
    network: SceneNetwork,
    header: dict[str, Any],
    reference_images: Sequence[ReferenceImage] = (),
    points: PointMap | None = None,
) -> Map:
    """Write a map atomically: `path` holds the old content or the new, never half of it.

    header needs origin, encoder_id, short_side and network_focal_px; format_version, scale, id and
    what the network is (`network`, or `head` and `descriptor`) are added here.
    """
    from dsac_ros.alignment import point_map, reference_image
    from dsac_ros.config import as_dict
    from dsac_ros.network.convolutional import WholeNetwork
    from dsac_ros.network.head import Head
    from dsac_ros.network.quantisation import to_eight_bits

    own: nn.Module = network
    if isinstance(network, WholeNetwork):
        kind: dict[str, Any] = {'network': network.name}
    else:
        head = network.head
        assert isinstance(head, Head)
        own = network if header['encoder_id'] == OWN_ENCODER else head
        kind = {'head': as_dict(head.config), 'descriptor': head.centres.shape[1]}
    tensors = to_eight_bits(
        {name: value.detach().cpu() for name, value in own.state_dict().items()}
    )
    tensors |= reference_image.to_tensors(reference_images) | point_map.to_tensors(points)
    written = write_container(path, {**header, **kind, 'scale': float(network.scale)}, tensors)
    return Map(written, network, reference_images=reference_images, points=points)


def focal_range(header: dict[str, Any]) -> tuple[float, float]:
    """Return the least and largest focal length [px] of the mapping images at the short side.

    NaN if the header of the map does not say it.
    """
    known = header.get('focal_range_px') or [header.get('focal_px')]
    if not isinstance(known, list) or not all(isinstance(one, (int, float)) for one in known):
        return math.nan, math.nan
    return float(min(known, default=math.nan)), float(max(known, default=math.nan))


def load_map(path: Path, device: str = 'cpu') -> Map:
    """Load a map of scene coordinates onto `device`.

    Raises MapError for a file that is missing, truncated, no map, or of a newer format, for a map
    of another system, and for a map of an encoder or a network that this package does not have.
    """
    from dsac_ros.alignment import point_map, reference_image
    from dsac_ros.network.quantisation import from_eight_bits

    path = Path(path)
    header, tensors = read_container(path)
    if 'system' in header:
        raise MapError(
            f'{path} is a map of the system {header["system"]}, expected one of scene coordinates '
            '(recipe ace or of the DSAC family)'
        )
    try:
        network, own = _network_of(path, header, path.stat().st_size)
        references = reference_image.from_tensors(tensors)
        points = point_map.from_tensors(tensors)
        own.load_state_dict(
            from_eight_bits(
                {
                    name: value
                    for name, value in tensors.items()
                    if not name.startswith((reference_image.PREFIX, point_map.PREFIX))
                }
            )
        )
    except MapError:
        raise
    except DAMAGE as error:
        raise damaged(path, error) from error
    network = network.requires_grad_(False).eval().to(device)
    return Map(header, network, reference_images=references, points=points)


def _network_of(path: Path, header: dict[str, Any], file_bytes: int) -> tuple[Any, Any]:
    """Return the header's network, and the part of it whose weights the map holds."""
    import torch

    from dsac_ros.network.convolutional import NETWORKS, WholeNetwork
    from dsac_ros.network.encoder import load_encoder
    from dsac_ros.network.head import Head, HeadConfig
    from dsac_ros.network.scene_network import SceneNetwork

    name = header.get('network')
    if name in NETWORKS:
        whole = WholeNetwork(name, header['scale'])
        return whole, whole
    if name is not None:
        raise MapError(
            f'{path} holds a network {name!r}, this version knows '
            f'{", ".join(NETWORKS)}; update dsac_ros'
        )
    encoder, encoder_id = load_encoder()
    own_encoder = header['encoder_id'] == OWN_ENCODER
    if not own_encoder and header['encoder_id'] != encoder_id:
        raise MapError(
            f'{path} was learned with encoder {header["encoder_id"]}, this package '
            f'ships {encoder_id}; learn the map again with this version'
        )
    config = HeadConfig(**header['head'])
    with torch.device('meta'):  # sizes without memory
        size = sum(p.numel() for p in Head(header['descriptor'], config).parameters())
    if size > file_bytes:  # a weight takes at least a byte
        raise MapError(
            f'{path} has a head of {size} weights by its header, in a file of {file_bytes} bytes; '
            'copy or learn the map again'
        )
    head = Head(header['descriptor'], config)
    network = SceneNetwork(encoder, head, header['scale'])
    return network, network if own_encoder else head
