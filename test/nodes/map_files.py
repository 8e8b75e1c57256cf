# SPDX-License-Identifier: Apache-2.0
"""Map files whose headers are changed by tests."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

GONE = object()


def with_header(source: Path, target: Path, **values: Any) -> Path:
    """Copy a map with other values in its header; fields that are GONE are left out."""
    data = source.read_bytes()
    length = struct.unpack('<Q', data[:8])[0]
    description = json.loads(data[8 : 8 + length])
    header = {**json.loads(description['__metadata__']['dsac_map']), **values}
    header = {name: value for name, value in header.items() if value is not GONE}
    description['__metadata__']['dsac_map'] = json.dumps(header)
    text = json.dumps(description).encode()
    target.write_bytes(struct.pack('<Q', len(text)) + text + data[8 + length :])
    return target


def with_other_tensors(source: Path, target: Path) -> Path:
    """Copy a map so that its header is right and a tensor is not the one that it promises."""
    data = source.read_bytes()
    length = struct.unpack('<Q', data[:8])[0]
    description = json.loads(data[8 : 8 + length])
    description['centre'] = description.pop('centres')
    text = json.dumps(description).encode()
    target.write_bytes(struct.pack('<Q', len(text)) + text + data[8 + length :])
    return target
