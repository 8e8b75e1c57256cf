# SPDX-License-Identifier: Apache-2.0
"""Check that poses, images and intrinsics belong together, before minutes are spent on them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from dsac_ros.errors import PoseMismatchError
from dsac_ros.mapping.data.view import View
from dsac_ros.mapping.sfm.pose_agreement import Agreement
from dsac_ros.mapping.sfm.pose_suspects import (
    FITS,
    Suspect,
    described,
    find_sharper,
    find_suspect,
)
from dsac_ros.mapping.sfm.view_pairs import ViewPairs

log = logging.getLogger(__name__)

LEAST_PAIRS = 3  # of views, with fewer nothing is said
EXPLAINED = 0.5  # of the disagreement a suspect must explain to be believed
# Part of the errors' cost that a suspect may leave. Measured on 17 real scenes and 9 rendered
# drives, noise in the poses: what was wrong left 0.70 at most, what was right 0.82 at least.
LEAST_GAIN = 0.75
# Shares of the matches, within the tolerance of exact and of coarse poses, below which poses are
# refused even if nothing explains it: noise of 1 deg leaves more, poses of other images less.
REFUSED, REFUSED_COARSE = 0.2, 0.5


@dataclass(frozen=True)
class PoseAgreement:
    """Share of verified feature matches that agree with the poses, of so many between pairs."""

    share: float
    matches: int
    pairs: int


def check_poses(
    views: Sequence[View], pairs: ViewPairs, coarse: bool = False, trusted: bool = False
) -> PoseAgreement | None:
    """Compare poses and intrinsics with the matches of the views.

    Args:
        views: all views, with poses in any unit of length.
        pairs: pairs of them, with verified matches.
        coarse: poses that will be refined may be further off.
        trusted: tell what is wrong and go on.

    Returns:
        The share of matches that agree, None where there are too few to say.

    Raises:
        PoseMismatchError: the matches contradict the poses; names what would fit.
    """
    if len(pairs) < LEAST_PAIRS:
        log.warning(
            'whether poses and images fit cannot be said: %d pairs of images share enough '
            'features, expected at least %d',
            len(pairs),
            LEAST_PAIRS,
        )
        return None
    loose = Agreement(views, pairs, coarse=True)
    judges = [loose] if coarse else [Agreement(views, pairs), loose]
    shares = [judge.share(judge.errors()) for judge in judges]
    found = PoseAgreement(round(shares[0], 3), len(pairs.pair), len(pairs))
    if shares[0] >= FITS:
        sharper = None if coarse else find_sharper(views, judges[0])
        if sharper is not None:
            _refuse(inexactness(found, judges[0], sharper, views), trusted)
        return found
    suspect = next(
        filter(
            None,
            (
                explaining(views, judge, share)
                for judge, share in zip(judges, shares)
                if share < FITS
            ),
        ),
        None,
    )
    if suspect is None and shares[0] >= REFUSED and shares[-1] >= REFUSED_COARSE:
        log.warning('%s; coarse poses are refined with --refine-poses', contradiction(found))
        return found
    _refuse(f'{contradiction(found)}; {explanation(suspect, views)}', trusted)
    return found


def _refuse(problem: str, trusted: bool) -> None:
    if not trusted:
        raise PoseMismatchError(f'{problem}, or --trust-poses to learn from them as they are')
    log.warning('%s', problem)


def explaining(views: Sequence[View], judge: Agreement, share: float) -> Suspect | None:
    """The suspect that explains most of the matches that disagree, None if there is none."""
    suspect = find_suspect(views, judge)
    if suspect is None or 1 - suspect.share > (1 - EXPLAINED) * (1 - share):
        return None
    return suspect if suspect.cost < LEAST_GAIN * judge.cost(judge.errors()) else None


def contradiction(found: PoseAgreement) -> str:
    """The finding in words."""
    return (
        f'poses and images do not fit: {found.share:.0%} of {found.matches} feature matches '
        f'agree with the poses, expected over {FITS:.0%}'
    )


def inexactness(
    found: PoseAgreement, judge: Agreement, suspect: Suspect, views: Sequence[View]
) -> str:
    """The finding in words where matches agree, but would so far more exactly with a suspect."""
    words, options = described(suspect, views)
    factor = judge.cost(judge.errors()) / suspect.cost
    return (
        f'poses and images fit roughly, expected exactly: {found.share:.0%} of {found.matches} '
        f'feature matches agree with the poses; with {words} their errors are {factor:.1f} times '
        f'smaller: use {options}'
    )


def explanation(suspect: Suspect | None, views: Sequence[View]) -> str:
    """The suspect in words, with the options that apply it."""
    if suspect is None:
        return (
            'no known convention of poses, delay or focal length explains it, so they do not '
            'belong to these images: name others with --poses, use --refine-poses where they '
            'are only coarse'
        )
    words, options = described(suspect, views)
    return f'with {words} {suspect.share:.0%} do: use {options}'
