# SPDX-License-Identifier: Apache-2.0
"""Point clouds as numpy arrays."""
from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

DTYPES = {PointField.INT8: 'i1', PointField.UINT8: 'u1', PointField.INT16: 'i2',
          PointField.UINT16: 'u2', PointField.INT32: 'i4', PointField.UINT32: 'u4',
          PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}
UNNAMED = 'unnamed_field'


def dtype_from_fields(fields: Iterable[Any], point_step: int | None = None) -> np.dtype:
    """The structured type of one point."""
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


def read_points(cloud: Any, field_names: list[str] | None = None, skip_nans: bool = False,
                uvs: Iterable | None = None, reshape_organized_cloud: bool = False) -> np.ndarray:
    """The points as a structured array (N,), or (width, height) when organized.

    Width comes first, in `create_cloud` too: so it stands in ROS 2, for better or worse.

    Args:
        cloud: sensor_msgs/PointCloud2.
        field_names: the fields wanted; None is all.
        skip_nans: leave out points with a NaN in the wanted fields.
        uvs: indices of the points wanted.
        reshape_organized_cloud: whether an organized cloud keeps its shape.
    """
    dtype = dtype_from_fields(cloud.fields, cloud.point_step)
    raw = np.frombuffer(cloud.data, np.uint8) if len(cloud.data) else np.empty(0, np.uint8)
    rows = raw.reshape(cloud.height, cloud.row_step)[:, :cloud.width * cloud.point_step]
    points = np.ascontiguousarray(rows).reshape(-1).view(dtype)
    if bool(cloud.is_bigendian) != (sys.byteorder == 'big'):
        points = points.byteswap()
    if field_names is not None:
        unknown = set(field_names) - set(dtype.names or ())
        if unknown:
            raise AssertionError(f'Requested field {unknown.pop()!r} is not in the fields of the '
                                 f'PointCloud: {dtype.names}')
        points = points[list(field_names)]
    if skip_nans and not cloud.is_dense:
        valid = np.ones(len(points), bool)
        for name in points.dtype.names:
            valid &= ~np.isnan(points[name])
        points = points[valid]
    if uvs is not None:
        points = points[np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(cloud: Any, field_names: list[str] | None = None, skip_nans: bool = False,
                      uvs: Iterable | None = None,
                      reshape_organized_cloud: bool = False) -> np.ndarray:
    """The points as a plain array (N, fields); all wanted fields must have one type."""
    points = read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud)
    types = {points.dtype[name] for name in points.dtype.names}
    if len(types) != 1:
        raise AssertionError('All fields need to have the same datatype. Use `read_points()` '
                             'otherwise.')
    return np.stack([points[name] for name in points.dtype.names], axis=-1)


def create_cloud(header: Any, fields: list[Any], points: Any, step: int | None = None,
                 point_step: int | None = None) -> Any:
    """A PointCloud2 of a structured array, a plain array (N, fields), or rows of numbers."""
    dtype = dtype_from_fields(fields, point_step or step)
    if isinstance(points, np.ndarray) and points.dtype.names:
        if points.dtype != dtype:
            raise AssertionError(f'PointFields and structured NumPy array dtype do not match: '
                                 f'{dtype} and {points.dtype}')
        cloud = points
    else:
        values = np.asarray(points)
        cloud = np.zeros(values.shape[:-1], dtype)
        for k, name in enumerate(dtype.names or ()):
            cloud[name] = values[..., k]
    width, height = cloud.shape if cloud.ndim == 2 else (cloud.size, 1)
    return PointCloud2(header=header, height=height, width=width, is_dense=False,
                       is_bigendian=sys.byteorder == 'big', fields=fields,
                       point_step=dtype.itemsize, row_step=dtype.itemsize * width,
                       data=np.ascontiguousarray(cloud).tobytes())


def create_cloud_xyz32(header: Any, points: Any, step: int | None = None) -> Any:
    """A PointCloud2 of float32 points (N, 3) [m]."""
    fields = [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
              for i, name in enumerate('xyz')]
    return create_cloud(header, fields, points, step)
