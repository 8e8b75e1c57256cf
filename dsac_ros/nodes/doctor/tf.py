# SPDX-License-Identifier: Apache-2.0
"""Checks of the TF tree: camera on the robot, odometry, and the node that holds map -> odom."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dsac_ros.nodes.doctor.camera import rate_of
from dsac_ros.nodes.doctor.finding import Finding, fail, ok, warn
from dsac_ros.nodes.sample_times import Limits
from dsac_ros.nodes.tf_edges import Edge, TfEdges
from dsac_ros.sources.pose_frames import optical_frame

MOUNT, ODOMETRY, AUTHORITY = 'camera on the robot', 'odometry', 'map -> odom'
#: Rate of odometry below which interpolation between its samples is coarse [Hz].
MIN_ODOMETRY_HZ = 10.0
#: Lateness of odometry [s] at which fixes lag, and at which they are dropped (odometry_timeout).
LATE_S, TOO_LATE_S = 0.2, 0.5
#: Nodes that hold map -> odom, by words in their names.
LOCALIZERS = ('amcl', 'slam', 'rtabmap', 'ekf', 'ukf', 'localiz', 'cartographer', 'dsac')


@dataclass(frozen=True)
class Frames:
    """Names of frames, and the parameters that set them."""

    camera: str
    base: str = 'base_link'
    odom: str = 'odom'
    map: str = 'map'

    @property
    def parameters(self) -> dict[str, str]:
        """Frame -> name of the parameter that sets it."""
        return {self.base: 'base_frame', self.odom: 'odom_frame', self.map: 'map_frame'}


@dataclass
class TfRecord:
    """Transforms that were heard.

    Attributes:
        edges: all of them.
        stamp: time at which they are asked for [ns]: that of the last image, or the newest.
        now_s: time of the steady clock that the edges were recorded with.
        lateness_s: child frame -> time from stamp to arrival, of each transform; empty for bags.
        publishers: full names of the nodes that publish on /tf and /tf_static, if known.
    """

    edges: TfEdges
    stamp: int
    now_s: float
    lateness_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    publishers: Sequence[str] = ()


def tf_findings(record: TfRecord, frames: Frames) -> list[Finding]:
    """Check all that a relocalizer asks of TF."""
    return [
        *([mount_finding(record, frames)] if frames.base else []),
        odometry_finding(record, frames),
        authority_finding(record, frames),
    ]


def mount_finding(record: TfRecord, frames: Frames) -> Finding:
    """Check the way from the camera to the base of the robot."""
    camera = frames.camera.lstrip('/')
    found = optical_frame(camera, record.edges.descendants(camera)) if camera else ()
    if camera and len(found) != 1:
        which = f'the optical frames {", ".join(found)}' if found else 'no optical frame'
        return fail(
            MOUNT,
            f'images are in frame {camera!r}, which has x forward by its name, and TF has {which} '
            'below it: set camera_frame to the frame with z forward',
        )
    camera = found[0] if found else camera
    reason = reason_between(record, frames, camera, frames.base)
    if reason:
        return fail(MOUNT, reason)
    path = record.edges.path(camera, frames.base)
    moving = [child for _, child in path.edges if is_moving(record, child)] if path else []
    text = f'TF leads from {camera} to {frames.base}'
    return ok(MOUNT, f'{text}, by moving {", ".join(moving)}' if moving else f'{text}, fixed')


def odometry_finding(record: TfRecord, frames: Frames) -> Finding:
    """Check the odometry: there, often enough, in time."""
    body = frames.base or frames.camera.lstrip('/')
    reason = reason_between(record, frames, frames.odom, body)
    if reason:
        return warn(
            ODOMETRY,
            f'{reason}; without odometry poses come with images only (tf_mode:=map_base), and a '
            'kidnap cannot be told from a wrong pose',
        )
    path = record.edges.path(frames.odom, body)
    children = [child for _, child in path.edges if is_moving(record, child)] if path else []
    edges = [(child, record.edges.edge(child)) for child in children]
    rates = [rate for _, edge in edges if edge and (rate := rate_of(edge.stamps)) is not None]
    if not rates:
        return warn(
            ODOMETRY, f'{frames.odom} -> {body} does not change: is it odometry, and running?'
        )
    late_s = max((_late(record.lateness_s.get(child, ())) for child in children), default=0.0)
    text = f'{frames.odom} -> {body} at {min(rates):.0f} Hz'
    if record.lateness_s:
        text += f', {late_s * 1e3:.0f} ms late'
    if late_s > TOO_LATE_S:
        return fail(
            ODOMETRY,
            f'{text}, at most {TOO_LATE_S * 1e3:.0f} ms are waited for: synchronise the clocks, '
            'or publish it sooner',
        )
    if min(rates) < MIN_ODOMETRY_HZ:
        return warn(ODOMETRY, f'{text}, expected {MIN_ODOMETRY_HZ:g} Hz or more')
    if late_s > LATE_S:
        return warn(ODOMETRY, f'{text}: every fix waits that long')
    return ok(ODOMETRY, text)


def authority_finding(record: TfRecord, frames: Frames) -> Finding:
    """Tell who gives the odometry frame its parent, and so decides where the robot is."""
    edge = record.edges.edge(frames.odom)
    if edge is None:
        base = record.edges.edge(frames.base) if frames.base else None
        if base is not None and base.parent == frames.map:
            return warn(
                AUTHORITY,
                f'none, but {frames.map} -> {frames.base} is published: a localizer without '
                'odometry; set tf_mode:=none',
            )
        return ok(
            AUTHORITY,
            'nobody publishes it: the relocalizer does with tf_mode:=auto; for recovery beside '
            'nav2 start AMCL or SLAM first',
        )
    named = f'{edge.parent} -> {frames.odom}'
    if edge.parent != frames.map:
        return warn(
            AUTHORITY,
            f'{named} is published, expected {frames.map} as its parent: set map_frame, or '
            'odom_frame to the frame below it',
        )
    by = _by(record.publishers)
    if edge.is_static:
        return warn(
            AUTHORITY,
            f'{named} is static{by}: a fixed localizer; stop it, or the robot cannot be corrected',
        )
    rate = rate_of(edge.stamps)
    at = f' at {rate:.0f} Hz' if rate else ''
    return ok(AUTHORITY, f'{named}{at}{by}: the relocalizer must have tf_mode auto or none')


def reason_between(record: TfRecord, frames: Frames, target: str, source: str) -> str:
    """Return why TF does not lead from one frame to another; '' if it does.

    Which samples there are does not count, only that the frames are connected.
    """
    if target == source:
        return ''
    if record.edges.path(target, source) is not None and {target, source} <= set(
        record.edges.frames
    ):
        return ''
    return record.edges.reason(
        target, source, record.stamp, Limits(), record.now_s, frames.parameters
    )


def is_moving(record: TfRecord, child: str) -> bool:
    """Return whether an edge is published again and again."""
    edge: Edge | None = record.edges.edge(child)
    return edge is not None and not edge.is_static and len(edge.stamps) > 1


def _late(lateness_s: Sequence[float]) -> float:
    """Return the lateness that one transform in ten exceeds [s]."""
    if len(lateness_s) < 2:
        return max(lateness_s, default=0.0)
    return statistics.quantiles(lateness_s, n=10)[-1]


def _by(publishers: Sequence[str]) -> str:
    """Return the nodes that may publish a transform: TF messages do not name their sender."""
    named = [node for node in publishers if any(word in node.lower() for word in LOCALIZERS)]
    if named:
        return f' by {" or ".join(named)}'
    return f' by one of {", ".join(publishers)}' if publishers else ''
