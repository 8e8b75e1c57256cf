# SPDX-License-Identifier: Apache-2.0
"""Point clouds as numpy arrays."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

DTYPES = {
    PointField.INT8: 'i1',
    PointField.UINT8: 'u1',
    PointField.INT16: 'i2',
    PointField.UINT16: 'u2',
    PointField.INT32: 'i4',
    PointField.UINT32: 'u4',
    PointField.FLOAT32: 'f4',
    PointField.FLOAT64: 'f8',
}
UNNAMED = 'unnamed_field'


def dtype_from_fields(fields: Iterable[Any], point_step: int | None = None) -> np.dtype:
    """Return the structured type of one point."""
    names, formats, offsets = [], [], []
    for i, field in enumerate(fields):
        base = np.dtype(DTYPES[field.datatype])
        for k in range(max(1, field.count)):
            name = field.name or f'{UNNAMED}_{i}'
            names.append(name if field.count <= 1 else f'{name}_{k}')
            formats.append(base)
            offsets.append(field.offset + k * base.itemsize)
    layout: dict[str, Any] = {'names': names, 'formats': formats, 'offsets': offsets}
    if point_step is not None:
        layout['itemsize'] = point_step
    return np.dtype(layout)


def read_points(cloud: Any) -> np.ndarray:
    """Return the points of a sensor_msgs/PointCloud2 as a structured array (N,)."""
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    raw = np.frombuffer(cloud.data, np.uint8) if len(cloud.data) else np.empty(0, np.uint8)
    rows = raw.reshape(cloud.height, cloud.row_step)[:, : cloud.width * cloud.point_step]
    points = np.ascontiguousarray(rows).reshape(-1).view(dtype)
    return points.byteswap() if bool(cloud.is_bigendian) != (sys.byteorder == 'big') else points


def create_cloud(header: Any, fields: list[Any], points: Any) -> Any:
    """Make a PointCloud2 of a structured array, a plain array (N, fields), or rows of numbers.

    An array of two dimensions is (width, height): so it stands in ROS 2, for better or worse.
    """
    dtype = dtype_from_fields(fields)
    if isinstance(points, np.ndarray) and points.dtype.names:
        if points.dtype != dtype:
            raise AssertionError(
                f'PointFields and structured NumPy array dtype do not match: '
                f'{dtype} and {points.dtype}'
            )
        cloud = points
    else:
        values = np.asarray(points)
        cloud = np.zeros(values.shape[:-1], dtype)
        for k, name in enumerate(dtype.names or ()):
            cloud[name] = values[..., k]
    width, height = cloud.shape if cloud.ndim == 2 else (cloud.size, 1)
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        is_dense=False,
        is_bigendian=sys.byteorder == 'big',
        fields=fields,
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * width,
        data=np.ascontiguousarray(cloud).tobytes(),
    )
