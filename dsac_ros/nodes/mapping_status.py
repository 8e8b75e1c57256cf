# SPDX-License-Identifier: Apache-2.0
"""Status message of the mapper."""

from __future__ import annotations

from pathlib import Path

from std_msgs.msg import Header

from dsac_ros.mapping.data.keyframes import Coverage, Verdict
from dsac_ros.msg import MappingStatus
from dsac_ros.nodes.recorder import Recorder
from dsac_ros.nodes.training import TrainingState


def status_message(
    head: Header,
    recorder: Recorder | None,
    coverage: Coverage,
    dataset: Path,
    output: Path | None,
    training: TrainingState,
    missing: str,
) -> MappingStatus:
    """Make a MappingStatus of recording, training and missing inputs."""
    verdicts = coverage.verdicts
    return MappingStatus(
        header=head,
        state=state_of(recorder, training),
        images=coverage.images,
        keyframes=recorder.keyframes if recorder is not None else verdicts[Verdict.KEPT],
        rejected_blur=verdicts[Verdict.BLUR],
        rejected_motion=verdicts[Verdict.MOTION],
        rejected_pose=verdicts[Verdict.POSE],
        rejected_duplicate=verdicts[Verdict.DUPLICATE],
        rejected_image=verdicts[Verdict.IMAGE],
        last_reason=training.reason or missing or coverage.last_reason,
        coverage_cells=coverage.cells,
        coverage_area=coverage.area,
        distance=coverage.distance,
        disk_bytes=disk_bytes(dataset) if dataset.name else 0,
        dataset=str(dataset) if dataset.name else '',
        map_url=str(output or ''),
        stage=training.stage,
        progress=training.progress,
        loss=training.loss,
        eta=training.eta,
    )


def state_of(recorder: Recorder | None, training: TrainingState) -> int:
    """Return the state constant of MappingStatus; a recording has priority over a training."""
    if recorder is not None:
        return MappingStatus.RECORDING
    if training.running:
        return MappingStatus.TRAINING
    if training.code is None:
        return MappingStatus.IDLE
    return MappingStatus.DONE if training.code == 0 else MappingStatus.FAILED


def disk_bytes(dataset: Path) -> int:
    """Return the size of the images of a dataset [bytes]."""
    try:
        images = list((dataset / 'rgb').iterdir())
        return sum(file.stat().st_size for file in images if not file.name.startswith('.'))
    except OSError:  # not made yet, or not there any more
        return 0
