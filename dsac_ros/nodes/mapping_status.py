# SPDX-License-Identifier: Apache-2.0
"""Status message of the mapper."""

from __future__ import annotations

from pathlib import Path

from std_msgs.msg import Header

from dsac_ros.mapping.data.keyframes import Coverage, Verdict
from dsac_ros.msg import MappingStatus
from dsac_ros.nodes.map_training import INTERRUPTED
from dsac_ros.nodes.recorder import Recorder
from dsac_ros.nodes.training import TrainingState


def status_message(
    head: Header,
    recorder: Recorder | None,
    output: Path | None,
    training: TrainingState,
    problem: str,
) -> MappingStatus:
    """Make a MappingStatus.

    Args:
        head: time and map frame.
        recorder: the recording, or the last one; None before the first.
        output: the map that is being learned, or was learned last.
        training: its training.
        problem: what goes before the reasons of training and recorder.
    """
    coverage = Coverage() if recorder is None else recorder.coverage
    verdicts = coverage.verdicts
    return MappingStatus(
        header=head,
        state=state_of(recorder, training),
        images=coverage.images,
        keyframes=0 if recorder is None else recorder.keyframes,
        rejected_blur=verdicts[Verdict.BLUR],
        rejected_motion=verdicts[Verdict.MOTION],
        rejected_pose=verdicts[Verdict.POSE],
        rejected_duplicate=verdicts[Verdict.DUPLICATE],
        rejected_image=verdicts[Verdict.IMAGE],
        rejected_uncertain=verdicts[Verdict.UNCERTAIN],
        segments=0 if recorder is None else recorder.segments.count,
        last_reason=reason_of(recorder, training, problem),
        coverage_cells=coverage.cells,
        coverage_area=coverage.area,
        distance=coverage.distance,
        disk_bytes=0 if recorder is None else recorder.disk_bytes,
        dataset='' if recorder is None else str(recorder.dataset),
        map_url=str(output or ''),
        stage=training.stage,
        progress=training.progress,
        loss=training.loss,
        eta=training.eta,
    )


def reason_of(recorder: Recorder | None, training: TrainingState, problem: str) -> str:
    """Return what is wrong now; a training that has failed does not hide why images are."""
    judged = '' if recorder is None else recorder.coverage.last_reason
    if recorder is not None and not recorder.is_done:
        return '; '.join(filter(None, [problem, judged])) or training.reason
    return training.reason or problem or judged


def state_of(recorder: Recorder | None, training: TrainingState) -> int:
    """Return the state constant of MappingStatus; a recording has priority over a training."""
    if recorder is not None and not recorder.is_done:
        return MappingStatus.RECORDING
    if training.running:
        return MappingStatus.TRAINING
    if training.code is None or training.code in INTERRUPTED:
        return MappingStatus.IDLE
    return MappingStatus.DONE if training.code == 0 else MappingStatus.FAILED
