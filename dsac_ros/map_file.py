# SPDX-License-Identifier: Apache-2.0
"""Map file: safetensors with a JSON header, one file a map.

The tensors are the head's, most of them in eight bits (`network.quantisation`), those of the
reference images (`alignment.reference_image`) and of the points (`alignment.point_map`). The
shared encoder is named by its id, unless it was tuned for the map, which then holds it, too.
Where a recipe learned a whole network for the scene, the header names it, and all its tensors are
the map's. Nothing in the file is code, so loading a map from a stranger is safe by construction.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from dsac_ros.compute.files import write_whole
from dsac_ros.errors import MapError
from dsac_ros.map_header import check_header

if TYPE_CHECKING:
    from torch import nn

    from dsac_ros.alignment.point_map import PointMap
    from dsac_ros.alignment.reference_image import ReferenceImage
    from dsac_ros.network.scene_network import SceneNetwork

# 1: a head without experts; 2: no reference images; 3: experts layer by layer; 4: no points;
# 5: the network sees the images that poses are refined on, its weights have 16 bits;
# 6: the same under other names
FORMAT_VERSION = 7
#: encoder_id of a map whose encoder learned end to end with its head: the file holds both.
OWN_ENCODER = 'own'
_KEY = 'dsac_map'
_LENGTH_BYTES, _MAX_HEADER_BYTES = 8, 64 << 20
# What reading the tensors of a damaged file may raise.
_DAMAGE = (RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError)


@dataclass(frozen=True)
class Map:
    """A loaded map.

    network, reference_images and points (None where the map has none) are relative to `origin`
    (3,) [m]; header is what `read_header` returns.
    """

    header: dict[str, Any]
    network: SceneNetwork
    reference_images: Sequence[ReferenceImage] = ()
    points: PointMap | None = None

    @property
    def id(self) -> str:
        """Hash of the content: equal maps have equal ids."""
        return str(self.header['id'])

    @property
    def origin(self) -> np.ndarray:
        """World position [m] of the network's frame (3,) float64."""
        return np.asarray(self.header['origin'], dtype=np.float64)


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
    from safetensors.torch import save

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
    header = {**header, **kind, 'format_version': FORMAT_VERSION, 'scale': float(network.scale)}
    digest = hashlib.sha256(save(tensors))
    digest.update(json.dumps([header['origin'], header['scale'], header['encoder_id']]).encode())
    header['id'] = digest.hexdigest()[:16]
    write_atomically(Path(path), save(tensors, metadata={_KEY: json.dumps(header)}))
    return Map(header=header, network=network, reference_images=reference_images, points=points)


def write_atomically(path: Path, data: bytes) -> None:
    """Write the bytes of a map; raise MapError where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise MapError(
            f'cannot write {path}: {error.strerror} ({len(data) / 1e6:.1f} MB needed); '
            'what stood there is unchanged'
        ) from error


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a map, without its tensors (and without torch).

    It is checked: fields have the types that docs/map_format.md states.

    Raises:
        MapError: the file is no map that this version can use.
    """
    path = Path(path)
    with _opened(path) as file:
        start = file.read(_LENGTH_BYTES)
        start += file.read(min(_header_bytes(start), _MAX_HEADER_BYTES))
        return _header_of(path, start, os.fstat(file.fileno()).st_size)


def focal_range(header: dict[str, Any]) -> tuple[float, float]:
    """Return the least and largest focal length [px] of the mapping images at the short side.

    NaN if the header of the map does not say it.
    """
    single = header.get('focal_px')
    known = header.get('focal_range_px', [single])
    if not isinstance(known, list) or not all(isinstance(one, (int, float)) for one in known):
        return math.nan, math.nan
    return float(min(known, default=math.nan)), float(max(known, default=math.nan))


def load_map(path: Path, device: str = 'cpu') -> Map:
    """Load a map onto `device`.

    Raises MapError for a file that is missing, truncated, no map, or of a newer format, and for
    a map of an encoder or a network that this package does not have.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from dsac_ros.alignment import point_map, reference_image
    from dsac_ros.network.quantisation import from_eight_bits

    path = Path(path)
    with _opened(path) as file:
        data = file.read()
    header = _header_of(path, data, len(data))
    try:
        network, own = _network_of(path, header, len(data))
        tensors = load(data)
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
    # Tensors of a damaged file: missing, of other shapes or types, not what their names promise.
    except (SafetensorError, *_DAMAGE) as error:
        what = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise MapError(f'{path} is damaged: {what}; copy or learn it again') from error
    network = network.requires_grad_(False).eval().to(device)
    return Map(header=header, network=network, reference_images=references, points=points)


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


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file: reading a pipe or a device might never end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = 'a folder' if path.is_dir() else 'no regular file'
            raise MapError(f'cannot read the map {path}: it is {kind}, expected a map file')
        with path.open('rb') as file:
            yield file
    except FileNotFoundError:
        raise MapError(f'no such map: {path}; `dsac map SOURCE -o {path}` learns one') from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, 'strerror', None) or str(error)
        raise MapError(f'cannot read the map {path}: {reason}') from error


def _header_bytes(start: bytes) -> int:
    """Return the length of the JSON after the first bytes of a file."""
    first = start[:_LENGTH_BYTES]
    return int(struct.unpack('<Q', first)[0]) if len(first) == _LENGTH_BYTES else 0


def _header_of(path: Path, start: bytes, file_bytes: int) -> dict[str, Any]:
    """Return the checked header.

    Args:
        path: of the map, for reasons.
        start: the first bytes of the file, at least to the end of the JSON.
        file_bytes: size of the whole file.
    """
    foreign = MapError(f'{path} is not a dsac_ros map (expected a file written by `dsac map`)')
    if len(start) < _LENGTH_BYTES:
        raise foreign
    end = _LENGTH_BYTES + _header_bytes(start)
    if end > _MAX_HEADER_BYTES or start[8:9] != b'{':
        raise foreign
    try:
        description = json.loads(start[_LENGTH_BYTES:end])
        header: dict[str, Any] = json.loads(description['__metadata__'][_KEY])
        version = header.get('format_version', 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        if file_bytes < end:
            raise MapError(
                f'{path} is truncated: {file_bytes} bytes, expected at least {end}; '
                'copy or learn it again'
            ) from None
        raise foreign from None
    if version != FORMAT_VERSION:
        is_newer = isinstance(version, int) and version > FORMAT_VERSION
        raise MapError(
            f'{path} has map format {version}, this version reads {FORMAT_VERSION}; '
            + ('update dsac_ros' if is_newer else 'learn the map again')
        )
    try:
        needed = end + max(
            (
                int(entry['data_offsets'][1])
                for name, entry in description.items()
                if name != '__metadata__'
            ),
            default=0,
        )
    except (ValueError, KeyError, TypeError, IndexError, OverflowError):
        raise foreign from None
    if file_bytes < needed:
        raise MapError(
            f'{path} is truncated: {file_bytes} bytes, expected {needed}; copy or learn it again'
        )
    check_header(path, header)
    return header
