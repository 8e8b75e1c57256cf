# SPDX-License-Identifier: Apache-2.0
"""Absolute pose from relative poses with several mapping images.

Zhou et al., "To Learn or Not to Learn: Visual Localization from Essential Matrices", ICRA 2020,
section III: every pair of relative poses gives a hypothesis, its position by triangulation of the
two directions; the others vote. The best are then compared and refined on the epipolar errors of
all matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsac_ros.systems.relative_pose.epipolar import (
    INLIER_PX,
    WIDE,
    Matches,
    covariance_of,
    refined,
)
from dsac_ros.systems.relative_pose.essential import FEWEST, RelativePose

#: Angles [rad] within which a relative pose agrees with a hypothesis: 15 deg of the direction as
#: in the paper, and of the rotation, which is better known, less.
DIRECTION, ROTATION = np.radians(15.0), np.radians(7.0)
#: Between two directions that are triangulated [rad]; below, noise decides.
LEAST_ANGLE = np.radians(2.0)
MOST_VOTES = 100  # of one mapping image: inliers beyond say no more
BESIDE = 1e-3  # of the extent of the mapping cameras
COMPARED, REFINED = 16, 3  # hypotheses with most votes, and of those the best on all matches
#: Mapping images lie on a line with the query where it is uncertain along this angle to them, by
#: this share of their distance.
LINE_ANGLE, LINE_SIGMA = np.radians(15.0), 0.1

NONE = 'the image fits no mapping image'
ONE = 'the image fits one mapping image, which tells the rotation and a direction, not how far'
TURNED = (
    'the image differs from the {} mapping images that it fits by rotation alone: nothing tells '
    'how near to them it was taken'
)
LINE = 'the {} mapping images that the image fits lie on a line with it: how far along is unknown'
APART = 'the image fits {} mapping images, and no two of them agree on a pose'


@dataclass(frozen=True)
class AbsolutePose:
    """A pose, its covariance, and what speaks for it.

    world_from_camera (4, 4), covariance (6, 6) [m, rad] in world axes (ROS order), inliers: number
    of matches that fit, references: number of mapping images that agree. reason: why the position
    is unknown; the pose is then that of a mapping image with the rotation of the query.
    """

    world_from_camera: np.ndarray
    covariance: np.ndarray | None = None
    inliers: int = 0
    references: int = 0
    reason: str = ''


def absolute_pose(relative: Sequence[RelativePose], focal_px: float) -> AbsolutePose | None:
    """Estimate the pose of a query; None of no relative poses.

    Args:
        relative: relative poses with mapping images.
        focal_px: focal length of the query.
    """
    if not relative:
        return None
    if all(one.is_rotation for one in relative):
        return unknown(relative, TURNED)
    if len(relative) == 1:
        return unknown(relative, ONE)
    starts = hypotheses(relative)
    if not len(starts):
        return unknown(relative, LINE if on_a_line(relative) else APART)
    matches = Matches.of(relative, focal_px)
    wide = WIDE * INLIER_PX
    scores = [matches.msac(pose, wide) for pose in starts]
    best = [starts[index] for index in np.argsort(scores)[::-1][:REFINED]]
    found = [one for one in (together(pose, relative, focal_px) for pose in best) if one]
    if not found:
        return unknown(relative, APART)
    return max(found, key=lambda one: one.inliers)


def unknown(relative: Sequence[RelativePose], reason: str) -> AbsolutePose:
    """Return the place of the mapping image with most inliers; reason: why not more is known."""
    most = max(relative, key=lambda one: one.count)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = most.world_from_query, most.centre
    return AbsolutePose(pose, references=len(relative), reason=reason.format(len(relative)))


def hypotheses(relative: Sequence[RelativePose]) -> np.ndarray:
    """Return the poses (H, 4, 4) that most relative poses agree with, two at least.

    Every ordered pair is tried: the rotation is that of the first. A mapping image that differs by
    rotation alone is a position of its own; a little beside it, for at a mapping image no matches
    with it contradict any rotation.
    """
    rotations = np.stack([one.world_from_query for one in relative])
    centres = np.stack([one.centre for one in relative])
    directions = np.stack([one.towards for one in relative])
    turned = np.array([one.is_rotation for one in relative])
    first, second = np.nonzero(np.outer(~turned, ~turned) & ~np.eye(len(relative), dtype=bool))
    places, usable = triangulated(
        centres[first], directions[first], centres[second], directions[second]
    )
    first = np.concatenate([first[usable], np.flatnonzero(turned)])
    beside = BESIDE * np.linalg.norm(centres - centres.mean(0), axis=1).max() + 1e-9
    places = np.concatenate([places[usable], (centres + beside * directions)[turned]])
    towards = places[:, None] - centres
    cosine = (towards * directions).sum(2) / (np.linalg.norm(towards, axis=2) + 1e-12)
    agrees = (rotation_angles(rotations)[first] < ROTATION) & (
        turned | (cosine > np.cos(DIRECTION))
    )
    votes = np.minimum([one.count for one in relative], MOST_VOTES).astype(float)
    # Among equals the one whose directions fit best.
    score = (agrees * votes * np.where(turned, 1.0, 1 + cosine)).sum(1)
    order = np.argsort(-score, kind='stable')
    order = order[(agrees & ~turned).sum(1)[order] + turned[first[order]] >= 2][:COMPARED]
    poses = np.tile(np.eye(4), (len(order), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotations[first[order]], places[order]
    return poses


def triangulated(
    first: np.ndarray, towards_first: np.ndarray, second: np.ndarray, towards_second: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the points (P, 3) nearest to two rays each, and where these meet (P,) bool.

    Rays begin at `first`, `second` (P, 3) and have unit directions (P, 3). Parallel rays and
    those that meet behind a camera do not count.
    """
    cosine = (towards_first * towards_second).sum(1)
    between = second - first
    along_first, along_second = (
        (between * towards_first).sum(1),
        (between * towards_second).sum(1),
    )
    sine2 = np.maximum(1 - cosine**2, 1e-12)
    near_first = (along_first - cosine * along_second) / sine2
    near_second = (cosine * along_first - along_second) / sine2
    points = (
        first
        + near_first[:, None] * towards_first
        + second
        + near_second[:, None] * towards_second
    ) / 2
    usable = (sine2 > np.sin(LEAST_ANGLE) ** 2) & (near_first > 0) & (near_second > 0)
    return points, usable


def on_a_line(relative: Sequence[RelativePose]) -> bool:
    """Return True if the directions from all mapping images are parallel."""
    directions = np.stack([one.towards for one in relative if not one.is_rotation])
    return bool(np.abs(directions @ directions.T).min() > np.cos(LEAST_ANGLE))


def rotation_angles(rotations: np.ndarray) -> np.ndarray:
    """Return the angles (K, K) [rad] between rotations (K, 3, 3)."""
    trace = np.einsum('iab,jab->ij', rotations, rotations)
    return np.asarray(np.arccos(np.clip((trace - 1) / 2, -1, 1)))


def together(
    pose: np.ndarray, relative: Sequence[RelativePose], focal_px: float
) -> AbsolutePose | None:
    """Refine a hypothesis on the matches of the mapping images that agree, two at least.

    Matches that RANSAC left out of a pair take part: with other mapping images they may fit.
    """
    wide = WIDE * INLIER_PX
    agreeing = [
        one for one in relative if Matches.of([one], focal_px).msac(pose, wide) > FEWEST / 2
    ]
    if len(agreeing) < 2:
        return None
    matches = Matches.of(agreeing, focal_px)
    pose = refined(pose, matches)
    fitting = matches.fitting(pose)
    counts = np.bincount(matches.reference[fitting], minlength=len(agreeing))
    if (counts >= FEWEST).sum() < 2:
        return None
    covariance = covariance_of(pose, matches, fitting)
    if is_along(pose, np.stack([one.centre for one in agreeing]), covariance):
        return unknown(agreeing, LINE)
    return AbsolutePose(pose, covariance, int(fitting.sum()), int((counts >= FEWEST).sum()))


def is_along(pose: np.ndarray, centres: np.ndarray, covariance: np.ndarray) -> bool:
    """Return True if a position is uncertain along the line that it forms with centres (K, 3)."""
    values, vectors = np.linalg.eigh(covariance[:3, :3])
    towards = pose[:3, 3] - centres
    distance = np.linalg.norm(towards, axis=1) + 1e-12
    cosine = np.abs(towards @ vectors[:, -1]) / distance
    uncertain = np.sqrt(max(0.0, values[-1])) > LINE_SIGMA * np.median(distance)
    return bool(uncertain and cosine.min() > np.cos(LINE_ANGLE))
