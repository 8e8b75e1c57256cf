# SPDX-License-Identifier: Apache-2.0
"""Checks of one camera's images and camera_info, from a bag or from the graph."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dsac_ros.errors import CameraError, ImageError
from dsac_ros.geometry.camera import check_image_matches
from dsac_ros.nodes.doctor.finding import Finding, fail, ok, warn
from dsac_ros.sources.camera_info import camera_from_message, frame_difference
from dsac_ros.sources.topic_names import is_rectified
from dsac_ros.types import Camera

IMAGES, INTRINSICS, STAMPS = 'images', 'intrinsics', 'image stamps'
#: Below this a robot that is lost waits for images [Hz].
MIN_RATE_HZ = 1.0
#: Age of images on arrival [s] at which to look for the cause, and max_image_age by default.
OLD_S, TOO_OLD_S = 0.3, 1.0
#: Ratio of focal lengths, in images of one height, beyond which a map fits badly.
MAX_FOCAL_RATIO = 1.5


@dataclass
class CameraRecord:
    """Messages of one camera.

    Attributes:
        image_topic: name of the image topic.
        info_topic: name of the camera_info topic.
        missing_images: why there is no image, one sentence.
        missing_info: why there is no camera_info, one sentence.
        image: the last image message.
        info: the last CameraInfo message.
        stamps: header stamps of the images in order of arrival [ns].
        ages_s: age of each image on arrival; empty for bags.
        mixed: several publishers on a topic, one sentence.
    """

    image_topic: str
    info_topic: str
    missing_images: str = ''
    missing_info: str = ''
    image: Any = None
    info: Any = None
    stamps: list[int] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    mixed: str = ''


def camera_findings(
    record: CameraRecord, decode: Callable[[Any], np.ndarray]
) -> tuple[list[Finding], Camera | None]:
    """Check a camera.

    Args:
        record: what was recorded of it.
        decode: image message -> gray (H, W) or RGB (H, W, 3); raises ImageError.

    Returns:
        The findings, and the camera where its intrinsics hold.
    """
    findings = [fail(IMAGES, record.mixed)] if record.mixed else []
    if record.image is None:
        findings.append(fail(IMAGES, record.missing_images))
        if record.info is None:
            findings.append(fail(INTRINSICS, record.missing_info))
        return findings, None
    try:
        image = decode(record.image)
    except ImageError as error:
        return [*findings, fail(IMAGES, f'{record.image_topic}: {error}')], None
    camera, intrinsics = intrinsics_of(record, image)
    return [
        *findings,
        rate_finding(record, image),
        *stamp_findings(record),
        intrinsics,
    ], camera


def rate_finding(record: CameraRecord, image: np.ndarray) -> Finding:
    """Tell rate, size and encoding of the images."""
    encoding = getattr(record.image, 'encoding', '') or getattr(record.image, 'format', '')
    height, width = image.shape[:2]
    what = f'{record.image_topic}, {width}x{height}, {encoding or "without encoding"}'
    if float(image.std()) < 1.0:
        return warn(IMAGES, f'{what}: the last one shows nothing; is the lens covered?')
    rate = rate_of(record.stamps)
    if rate is None:
        return warn(IMAGES, f'{what}: a single one, expected {MIN_RATE_HZ:g} Hz or more')
    text = f'{what}, {rate:.1f} Hz'
    if rate < MIN_RATE_HZ:
        return warn(IMAGES, f'{text}, expected {MIN_RATE_HZ:g} Hz or more')
    return ok(IMAGES, text)


def rate_of(stamps: Sequence[int]) -> float | None:
    """Return the rate of stamps [ns] in Hz, by the median of their distances; None if unknown."""
    steps = [b - a for a, b in zip(stamps, stamps[1:]) if b > a]
    return 1e9 / statistics.median(steps) if steps else None


def stamp_findings(record: CameraRecord) -> list[Finding]:
    """Check the stamps of the images against each other and the clock."""
    stamps = record.stamps
    if 0 in stamps:
        return [
            fail(
                STAMPS,
                f'{record.image_topic} has no time stamps: set header.stamp in the camera driver',
            )
        ]
    back = sum(b <= a for a, b in zip(stamps, stamps[1:]))
    found = []
    if back:
        found.append(
            warn(
                STAMPS,
                f'{back} of {len(stamps)} images are not newer than the one before: do two nodes '
                'publish images here, or has a bag started over?',
            )
        )
    if record.ages_s:
        found.append(age_finding(statistics.median(record.ages_s)))
    return found


def age_finding(age_s: float) -> Finding:
    """Check the age of images on arrival."""
    if age_s < -TOO_OLD_S or age_s > 86_400.0:
        where = f'{-age_s:.0f} s in the future' if age_s < 0 else f'{age_s:.0f} s old'
        return fail(
            STAMPS,
            f'images are {where}: camera and computer count from different moments; play a bag '
            'with --clock and set use_sim_time:=true, or synchronise the clocks',
        )
    text = f'images are {age_s:.2f} s old when they arrive'
    if age_s > TOO_OLD_S:
        return fail(
            STAMPS,
            f'{text}, at most {TOO_OLD_S:g} s are allowed (max_image_age): raise it where that is '
            'so, or synchronise the clocks of camera and robot',
        )
    if age_s > OLD_S:
        return warn(STAMPS, f'{text}: poses lag by as much; is the network slow?')
    return ok(STAMPS, text)


def intrinsics_of(record: CameraRecord, image: np.ndarray) -> tuple[Camera | None, Finding]:
    """Check the intrinsics as the nodes do, in the same words."""
    if record.info is None:
        return None, fail(INTRINSICS, record.missing_info)
    other = frame_difference(record.info.header.frame_id, record.image.header.frame_id)
    if other:
        return None, fail(
            INTRINSICS,
            f'camera_info is of another camera, {other}: remap camera_info to that of the images',
        )
    size_wh = (image.shape[1], image.shape[0])
    rectified = is_rectified(record.image_topic)
    try:
        camera = camera_from_message(record.info, rectified=rectified, image_wh=size_wh)
        check_image_matches(camera, image)
    except CameraError as error:
        return None, fail(INTRINSICS, f'{record.info_topic}: {error}')
    matrix = camera.matrix
    text = (
        f'{record.info_topic}, fx {matrix[0, 0]:.1f}, fy {matrix[1, 1]:.1f}, centre '
        f'({matrix[0, 2]:.1f}, {matrix[1, 2]:.1f}), {camera.model}'
    )
    return camera, (
        warn(INTRINSICS, '; '.join([text, *camera.assumptions]))
        if camera.assumptions
        else ok(INTRINSICS, text)
    )


def focal_finding(camera: Camera, header: dict[str, Any]) -> Finding:
    """Compare the focal length with that of the mapping images, both in images of one height."""
    subject = 'focal length'
    if not {'focal_px', 'image_size_wh'} <= set(header):
        return warn(subject, 'the map does not tell that of its images: it cannot be compared')
    height = min(camera.size_wh)
    ours = float(camera.matrix[0, 0])
    theirs = float(header['focal_px']) * height / min(header['image_size_wh'])
    text = f'{ours:.0f} px, the map was learned at {theirs:.0f} px in images of this height'
    if max(ours, theirs) > MAX_FOCAL_RATIO * min(ours, theirs):
        return warn(
            subject,
            f'{text}: another lens sees the place otherwise; learn the map with this camera, or '
            'check its calibration',
        )
    return ok(subject, text)
