# SPDX-License-Identifier: Apache-2.0
"""Candidate poses of a query, from which its image is aligned with the landmarks."""

from __future__ import annotations

from collections.abc import Iterator

from dsac_ros.acceptance import AcceptanceModel
from dsac_ros.alignment.reference_database import ReferenceDatabase
from dsac_ros.query import Query
from dsac_ros.ransac.estimator import PoseEstimate
from dsac_ros.types import PoseStatistics

# Minimal sets for each retrieved reference image, and how many of their poses are aligned.
RETRIEVED_HYPOTHESES, MOST_RETRIEVED = 256, 3
CHANCE = 9  # matches with one reference image that fit some pose of another place


def candidate_poses(
    query: Query,
    model: AcceptanceModel,
    database: ReferenceDatabase | None,
    max_latency_ms: float,
) -> Iterator[PoseEstimate]:
    """Yield candidate poses (1,), the most likely first; each is computed when it is asked for.

    Scene coordinates are the quickest where they are right for most images of the place; else
    features come first, and where many agree nothing is aligned. A blurred or dark image has few
    features: then descriptors of the network are matched with retrieved reference images.

    Args:
        query: of the map.
        model: acceptance model of the map.
        database: reference images of the map; None to retrieve none.
        max_latency_ms: time since the begin of the query after which nothing is retrieved.
    """
    if not model.matches_features_first:
        yield query.screening_estimate()
    found = query.feature_pose()
    evidence = PoseStatistics(feature_inliers=found.inlier_count)
    if model.matches_features_first and model.decided_by_features(evidence):
        return
    if found.inlier_count:
        yield found.estimate
    if model.accepted_by_features(evidence):
        return
    if model.matches_features_first:
        yield query.screening_estimate()
    if database is not None:
        yield from _retrieved_poses(query, database, max_latency_ms)


def _retrieved_poses(
    query: Query, database: ReferenceDatabase, max_latency_ms: float
) -> Iterator[PoseEstimate]:
    """Yield poses by the most similar reference images, each apart and all together."""
    if query.clock.elapsed_ms() > max_latency_ms:
        return
    output = query.network_output()
    with query.clock.stage('retrieval'):
        apart, together = database.retrieve(
            output.image,
            output.descriptors,
            output.scene.pixels[0],
            output.scene.matrices[0],
            output.scene.valid[0],
        )
    each = query.retrieved_estimate(apart, RETRIEVED_HYPOTHESES)
    counts = each.inlier_count
    first, *others = [
        index
        for index in counts.argsort(descending=True)[:MOST_RETRIEVED].tolist()
        if counts[index] >= CHANCE
    ] or [0]
    yield each.only(first)
    every = query.retrieved_estimate(together)
    if every.inlier_count[0] > counts[first]:  # what fits one image fits all of them
        yield every
    for index in others:
        if query.clock.elapsed_ms() > max_latency_ms:
            return
        yield each.only(index)
