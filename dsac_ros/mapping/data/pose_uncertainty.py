# SPDX-License-Identifier: Apache-2.0
"""Standard deviations of a pose on the ground, and the gate on them."""

from __future__ import annotations

import numpy as np


def ground_deviations(covariance: np.ndarray) -> tuple[float, float] | None:
    """Return the standard deviations in the x-y plane [m] and of yaw [rad].

    Args:
        covariance: (6, 6) over x, y, z and the rotations about x, y, z.

    Returns:
        The larger semi-axis of x-y, and yaw; None if the matrix is no covariance or says nothing.
    """
    used = np.append(covariance[:2, :2].ravel(), covariance[5, 5])
    if not np.isfinite(used).all() or not used.any():
        return None
    plane = (covariance[:2, :2] + covariance[:2, :2].T) / 2.0
    smallest, largest = np.linalg.eigvalsh(plane)
    tolerance = 1e-9 * max(1.0, abs(largest))
    if smallest < -tolerance or covariance[5, 5] < 0.0:
        return None
    return float(np.sqrt(max(largest, 0.0))), float(np.sqrt(covariance[5, 5]))


def too_uncertain(
    covariance: np.ndarray | None, max_std_xy: float, max_std_yaw: float, topic: str
) -> str:
    """Return why a pose is too uncertain for a keyframe; '' if it is not.

    Args:
        covariance: (6, 6); None if no message has come.
        max_std_xy: parameter max_pose_std_xy [m]; 0: any.
        max_std_yaw: parameter max_pose_std_yaw [rad]; 0: any.
        topic: where covariances come from.
    """
    limits = [
        name
        for name, limit in (('max_pose_std_xy', max_std_xy), ('max_pose_std_yaw', max_std_yaw))
        if limit > 0.0
    ]
    if not limits:
        return ''
    cure = f'set {" and ".join(limits)} to 0 to record nevertheless'
    if covariance is None:
        return (
            f'no covariance on {topic} yet, which {" and ".join(limits)} asks for: remap it to '
            f'the topic of the localizer, or {cure}'
        )
    deviations = ground_deviations(covariance)
    if deviations is None:
        return f'the covariance on {topic} is zero, negative or not finite: unknown; {cure}'
    for value, limit, what, unit, name in (
        (deviations[0], max_std_xy, 'position', 'm', 'max_pose_std_xy'),
        (deviations[1], max_std_yaw, 'heading', 'rad', 'max_pose_std_yaw'),
    ):
        if 0.0 < limit < value:
            return (
                f'the standard deviation of the {what} on {topic} is {value:.3g} {unit}, at most '
                f'{limit:g} {unit} are allowed ({name})'
            )
    return ''
