# SPDX-License-Identifier: Apache-2.0
"""Search for what is wrong with poses or intrinsics that feature matches contradict.

Tried are the conventions of other programs, poses that lag behind the images or precede them, and
another focal length, each alone and with the most likely conventions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from dsac_ros.config import DIRECTIONS, NAMED_AXES, OPTICAL, QUATERNIONS, PoseConvention
from dsac_ros.geometry.pose_convention import AXES, world_from_camera
from dsac_ros.geometry.trajectory import Trajectory
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.pose_agreement import Agreement

FITS = 0.8  # share of the matches that agree with right poses, at least
COMPLEXITY = 0.05  # of the cost that one more deviation from our convention must save
COMMON, UNUSUAL = 2, 3  # largest complexity of conventions, such as camera-from-world in OpenGL
MANY_PAIRS = 8  # of views, with fewer too much fits to combine conventions with these:
LIKELY = 3  # conventions with which delays and focal lengths are tried as well
DELAY_S, DELAY_FRAMES = 2.0, 10  # searched, whichever is more
DELAYS = 30  # to each side of zero
FOCAL_FACTORS = np.geomspace(0.25, 4.0, 49)
REFINEMENTS = 3  # of a delay or a focal length, each to a fifth of its grid
# A change that nobody asked for, since enough matches agree, must make their errors this much
# smaller, in this share of the pairs. Measured: right poses of 17 real scenes and 9 rendered
# drives gain 15 % at most, in under half of the pairs.
SHARPER, IMPROVED_PAIRS = 0.6, 0.85
LEAST_FOCAL, LEAST_DELAY_S = 1.08, 0.1  # smaller changes are refined or do no harm
MAX_GAP_FRAMES = 6  # across which poses are interpolated
SAME_FOCAL = 0.01  # views whose focal lengths differ by less have one camera


@dataclass(frozen=True)
class Suspect:
    """A change to poses or intrinsics, the share of the matches that agree with it, and its cost.

    delay_s is how far the poses lag behind the images, focal the factor of the focal lengths.
    """

    convention: PoseConvention = field(default_factory=PoseConvention)
    delay_s: float = 0.0
    focal: float = 1.0
    share: float = 0.0
    cost: float = np.inf

    @property
    def complexity(self) -> float:
        """Number of deviations from what was given, weighted by how unusual they are."""
        axes = self.convention.axes or OPTICAL
        return (
            (self.convention.quaternion != 'xyzw')
            + DIRECTIONS.index(self.convention.direction)
            + (0 if axes == OPTICAL else 1 if axes in NAMED_AXES else 3)
            + (self.delay_s != 0)
            + (self.focal != 1)
        )


def find_suspect(views: Sequence[View], agreement: Agreement) -> Suspect | None:
    """The least change to what was given with which the matches agree, None if there is none.

    A tolerance for coarse poses is met by too much: there only common conventions are tried.
    """
    search = _Search(views, agreement)
    if agreement.coarse:
        found = [search.judged(one) for one in conventions(COMMON)]
    else:
        given = search.judged(Suspect())
        ranked = sorted(map(search.judged, conventions(UNUSUAL)), key=_rank)
        found = [*ranked, search.with_delay(given), search.with_focal(given)]
        if len(agreement.pairs) >= MANY_PAIRS and all(one.share < FITS for one in found):
            for likely in [one for one in ranked if one.complexity <= COMMON][:LIKELY]:
                found += [search.with_delay(likely), search.with_focal(likely)]
    return min((one for one in found if one.share >= FITS), key=_rank, default=None)


def find_sharper(views: Sequence[View], agreement: Agreement) -> Suspect | None:
    """A change to what was given with which matches that agree already do so far more exactly.

    A wide tolerance, or a motion that shows little, hides a focal length that is off by a tenth,
    axes of the left hand, or a delay. None where no change helps nearly all pairs of views.
    """
    search = _Search(views, agreement)
    given = search.judged(Suspect())
    found = [*map(search.judged, conventions(COMMON)), *_noticeable(search, given)]
    best = min(found, key=_rank)
    if best.cost > SHARPER * given.cost or best.share < given.share - COMPLEXITY:
        return None
    before, after = (agreement.pair_costs(search.errors(one)) for one in (given, best))
    return best if np.mean(after < before) >= IMPROVED_PAIRS else None


def _noticeable(search: _Search, given: Suspect) -> Iterator[Suspect]:
    """The focal length and the delay that suit best, where they differ enough from the given."""
    focal, delay = search.with_focal(given), search.with_delay(given)
    if abs(np.log(focal.focal)) >= np.log(LEAST_FOCAL):
        yield focal
    if abs(delay.delay_s) >= LEAST_DELAY_S:
        yield delay


def conventions(most: int) -> Iterator[Suspect]:
    """Every convention of poses up to a complexity."""
    for quaternion, direction, axes in product(QUATERNIONS, DIRECTIONS, AXES):
        suspect = Suspect(PoseConvention(direction, axes if axes != OPTICAL else None, quaternion))
        if suspect.complexity <= most:
            yield suspect


def _rank(suspect: Suspect) -> float:
    return suspect.cost + COMPLEXITY * suspect.complexity


class _Search:
    """Judges suspects by the matches."""

    def __init__(self, views: Sequence[View], agreement: Agreement) -> None:
        self.agreement = agreement
        self.stamps = np.array([view.stamp_ns for view in views], dtype=np.int64)
        self.used = np.unique([agreement.pairs.first, agreement.pairs.second])
        steps = np.diff(np.unique(self.stamps))
        self.step_ns = int(np.median(steps)) if len(steps) else 0

    def judged(self, suspect: Suspect) -> Suspect:
        """The suspect with its share and its cost, the mean of bounded errors."""
        errors = self.errors(suspect)
        return replace(
            suspect, share=self.agreement.share(errors), cost=self.agreement.cost(errors)
        )

    def errors(self, suspect: Suspect) -> np.ndarray:
        """Errors (M,) of the matches with the suspect, as those of `Agreement`."""
        poses = self._poses(suspect.convention, suspect.delay_s)
        matrices = self.agreement.matrices.copy()
        matrices[:, [0, 1], [0, 1]] *= suspect.focal
        return self.agreement.errors(poses, matrices)

    def with_delay(self, start: Suspect) -> Suspect:
        """The suspect with the delay of the poses that suits it best; none without stamps.

        Poses between two samples are smoother than the samples, so that noise favours any delay:
        one that is as good the other way round is none.
        """
        if not self.step_ns:
            return start
        half = max(1e9 * DELAY_S, DELAY_FRAMES * self.step_ns)
        step = max(self.step_ns, half / DELAYS)
        delays = step * np.arange(-int(half / step), int(half / step) + 1)
        best = start
        for _ in range(1 + REFINEMENTS):
            best = min(
                (
                    best,
                    *(
                        self.judged(replace(start, delay_s=1e-9 * float(delay)))
                        for delay in delays
                    ),
                ),
                key=_rank,
            )
            step /= 5
            delays = 1e9 * best.delay_s + step * np.arange(-4, 5)
        best = self.judged(replace(best, delay_s=round(best.delay_s, 3)))
        reverse = self.judged(replace(best, delay_s=-best.delay_s))
        return best if reverse.share < max(start.share, 0.5 * best.share) else start

    def with_focal(self, start: Suspect) -> Suspect:
        """The suspect with the factor of the focal lengths that suits it best."""
        factors, ratio, best = FOCAL_FACTORS, FOCAL_FACTORS[1] / FOCAL_FACTORS[0], start
        for _ in range(1 + REFINEMENTS):
            best = min(
                (best, *(self.judged(replace(start, focal=float(factor))) for factor in factors)),
                key=_rank,
            )
            ratio **= 0.2
            factors = best.focal * ratio ** np.arange(-4.0, 5.0)
        return best

    def _poses(self, convention: PoseConvention, delay_s: float) -> np.ndarray:
        """The poses (V, 4, 4) of a convention at a delay, NaN where there is none."""
        converted = world_from_camera(self.agreement.poses, convention)
        if not delay_s:
            return converted
        trajectory = Trajectory(self.stamps, converted)
        poses = np.full_like(converted, np.nan)
        for index in self.used:
            pose = trajectory.at(
                int(self.stamps[index] + 1e9 * delay_s), MAX_GAP_FRAMES * self.step_ns
            )
            if pose is not None:
                poses[index] = pose
        return poses


def described(suspect: Suspect, views: Sequence[View]) -> tuple[str, str]:
    """Words for what was found, and the options that apply it."""
    convention = suspect.convention
    words, options = [], []
    for name, value, usual in (
        ('direction', convention.direction, DIRECTIONS[0]),
        ('axes', convention.axes or OPTICAL, OPTICAL),
        ('quaternion', convention.quaternion, QUATERNIONS[0]),
    ):
        if value != usual:
            words.append(f'{name} {value}')
            options.append(f'--pose-{name} {value}')
    if suspect.delay_s:
        words.append(
            f'poses {abs(suspect.delay_s):g} s {"late" if suspect.delay_s > 0 else "early"}'
        )
        options.append(f'--pose-delay {suspect.delay_s:g}')
    if suspect.focal != 1:
        word, option = _focal(suspect.focal, views)
        words.append(word)
        options.append(option)
    return ' and '.join(words), ' '.join(options)


def _focal(factor: float, views: Sequence[View]) -> tuple[str, str]:
    """Words and option for focal lengths that are off by a factor."""
    given = np.array([view.focal_px for view in views])
    if given.min() > 0 and np.ptp(given) < SAME_FOCAL * given.min():
        fits = factor * float(np.median(given))
        return f'f = {fits:.0f} px (given: {np.median(given):.0f} px)', f'--focal {fits:.0f}'
    return f'focal lengths {factor:.3g} times those given', 'right intrinsics by --camera-info'
