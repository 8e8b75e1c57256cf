# SPDX-License-Identifier: Apache-2.0
"""Settings, one frozen dataclass per stage.

The command line, the ROS parameters and the map file read the same fields. Precedence: code
default < YAML < launch argument or flag.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from dsac_ros.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar('C', bound='DataclassInstance')
#: Origin of a default that was chosen by reasoning or on the first scenes, and never varied since.
NOT_MEASURED = 'chosen by hand; not varied in a measurement'


def setting(
    default: Any,
    description: str,
    *,
    unit: str = '',
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    origin: str = '',
) -> Any:
    """Make a dataclass field with description, unit, range, and the origin of its default."""
    return field(
        default=default,
        metadata={
            'description': description,
            'unit': unit,
            'low': low,
            'high': high,
            'choices': choices,
            'origin': origin,
        },
    )


def build(cls: type[C], values: dict[str, Any]) -> C:
    """Build the settings `cls` from `values`.

    Raises:
        ConfigError: a name is unknown or a value out of range.
    """
    known = {f.name: f for f in fields(cls)}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(
                f'unknown setting {name!r} of {cls.__name__}: {did_you_mean(name, known)}'
            )
        check(known[name].name, value, known[name].metadata)
    return cls(**values)


def check(name: str, value: Any, metadata: Any) -> None:
    """Raise ConfigError if `value` is outside the range or the choices in `metadata`."""
    low, high, choices = (metadata.get(k) for k in ('low', 'high', 'choices'))
    if choices and value not in choices:
        raise ConfigError(f'{name} is {value!r}, expected one of {", ".join(choices)}')
    if low is not None and not value >= low:
        raise ConfigError(
            f'{name} is {value}, expected at least {low} {metadata["unit"]}'.rstrip()
        )
    if high is not None and not value <= high:
        raise ConfigError(
            f'{name} is {value}, expected at most {high} {metadata["unit"]}'.rstrip()
        )


def as_dict(settings: Any) -> dict[str, Any]:
    """Return the settings as plain values, for JSON."""
    return asdict(settings)


OPTICAL = 'opencv'
# Directions of x, y and z of a camera frame: right, left, up, down, forward, back.
NAMED_AXES = {OPTICAL: 'rdf', 'opengl': 'rub', 'body': 'flu', 'unity': 'ruf'}
AXES_HELP = f'{", ".join(NAMED_AXES)}, or the directions of x, y and z such as rdf'
DIRECTIONS = ('world-from-camera', 'camera-from-world', 'transposed')
QUATERNIONS = ('xyzw', 'wxyz')


@dataclass(frozen=True)
class PoseConvention:
    """Convention of the poses of a source.

    The direction 'transposed' means rotations of camera-from-world with positions of the camera.
    """

    direction: str = setting(DIRECTIONS[0], 'direction of the transforms', choices=DIRECTIONS)
    axes: str | None = setting(
        None, f"the camera's axes: {AXES_HELP}; left-handed ones flip the world's y axis"
    )
    quaternion: str = setting(
        QUATERNIONS[0], 'order of the quaternion components in the source', choices=QUATERNIONS
    )
    scale: float = setting(1.0, 'factor on positions, 0.001 for millimetres', low=1e-9)


@dataclass(frozen=True)
class RansacConfig:
    """Settings of RANSAC, from the scene coordinates of a frame to its pose."""

    hypotheses: int = setting(
        2048,
        'minimal sets drawn per frame; an eighth if landmarks verify the poses',
        low=1,
        high=65536,
    )
    inlier_px: float = setting(
        10.0, 'reprojection error of an inlier', unit='px', low=0.5, high=100.0
    )
    screen_cells: int = setting(64, 'cells for the first scoring of every hypothesis', low=4)
    screened: int = setting(256, 'hypotheses kept after the first scoring', low=1)
    prescore_cells: int = setting(600, 'cells for the second scoring', low=8)
    rescored: int = setting(8, 'hypotheses kept after the second scoring', low=1)
    local_iterations: int = setting(
        3, 'Gauss-Newton steps on the cells of the second scoring', low=0
    )
    refined: int = setting(
        4, 'best hypotheses compared with the winner to detect ambiguity', low=1
    )
    refine_iterations: int = setting(
        3, 'Gauss-Newton steps of the best hypothesis on all cells', low=1, high=200
    )
    max_reprojection_px: float = setting(
        100.0, 'upper bound of the reprojection error', unit='px', low=1.0
    )
    seed: int = setting(0, 'seed of the sampling; the same seed gives the same pose', low=0)
    compiled: bool = setting(
        False,
        'compile with torch.compile: half the time per image after '
        'minutes at the first one; requires a C++ compiler',
    )


@dataclass(frozen=True)
class EndToEndConfig:
    """Settings of training through differentiable RANSAC.

    Hypotheses, threshold and gradient default to those of DSAC*, loss and entropy to DSAC++.
    """

    hypotheses: int = setting(64, 'minimal sets drawn per image', low=1, high=4096)
    cells: int = setting(600, 'cells used per image', low=8)
    inlier_px: float = setting(
        10.0, 'reprojection error of an inlier', unit='px', low=0.5, high=100.0
    )
    max_reprojection_px: float = setting(
        100.0, 'upper bound of the reprojection error', unit='px', low=1.0
    )
    refine_iterations: int = setting(8, 'Gauss-Newton steps of every hypothesis', low=1, high=200)
    selection: str = setting(
        'dsac',
        'loss to minimise: dsac: expected loss; softam: loss of the '
        'mean pose; argmax: loss of the best pose',
        choices=('dsac', 'softam', 'argmax'),
    )
    score: str = setting(
        'soft',
        'score of a hypothesis: soft or hard inlier count, or '
        'soft count weighted by predicted uncertainty',
        choices=('soft', 'hard', 'uncertainty'),
    )
    gradient: str = setting(
        'one_step', 'derivative of a refined pose by the points', choices=('one_step', 'implicit')
    )
    alpha: float = setting(
        100.0, 'sharpness of the softmax selection over scores in [0, 1]', low=1e-3
    )
    entropy_bits: float = setting(
        3.0,
        'target entropy of the selection, reached by adapting alpha; 0: constant alpha',
        unit='bit',
        low=0.0,
    )
    pose_loss: str = setting(
        'max', 'pose loss', choices=('weighted', 'adaptive', 'max', 'reprojection')
    )
    rotation_distance: str = setting(
        'auto',
        "rotation error in 'weighted' and 'adaptive'; auto: set by the recipe, else quaternion",
        choices=('auto', 'angular', 'quaternion', 'chordal', 'angle_axis'),
    )
    rotation_weight: float = setting(
        -1.0,
        "weight of the rotation error in 'weighted'; negative: set by the recipe, else 500",
        unit='m per unit of distance',
    )
    loss_clamp: float = setting(
        0.0,
        "error above which 'max' grows as a square root [cm, "
        "deg], and largest error of a point in 'reprojection' [px]; 0: "
        '100',
        low=0.0,
    )
    mean_rotation: str = setting(
        'tangent',
        "parametrisation in which 'softam' averages rotations "
        'relative to the most likely one: tangent space of SE(3), or a '
        'rotation representation',
        choices=(
            'tangent',
            'quaternion',
            'axis_angle',
            'log_quaternion',
            'euler',
            'gram_schmidt',
            'procrustes',
            'kabsch',
        ),
    )
    rgbd: bool = setting(False, 'train for RGB-D queries, if the mapping frames have depth')
    finetune_encoder: bool = setting(
        False, 'also train the encoder, which is then stored in the map (2 MB)'
    )
    finetune_minutes: float = setting(
        2.0, 'duration of the end-to-end training', unit='min', low=0.001
    )
    finetune_steps: int = setting(100000, 'maximum steps of the end-to-end training', low=1)
    finetune_rate: float = setting(1e-5, 'peak learning rate of the end-to-end training', low=1e-9)


@dataclass(frozen=True)
class ViewpointConfig:
    """Motion of a robot between poses that makes them more than one piece of evidence."""

    viewpoint_change_xy: float = setting(
        0.2,
        'movement between agreeing poses before a localizer, or map -> odom with max_jump, is '
        'overruled unasked (images of a robot at rest are one piece of evidence), or a turn by '
        'viewpoint_change_yaw; 0: not required',
        unit='m',
        low=0.0,
        origin='chosen by hand; the scenarios of test/recovery pass with it',
    )
    viewpoint_change_yaw: float = setting(
        10.0,
        'turn between agreeing poses that replaces the movement',
        unit='deg',
        low=0.0,
        high=180.0,
        origin='chosen by hand; the scenarios of test/recovery pass with it',
    )


@dataclass(frozen=True)
class CorrectionConfig(ViewpointConfig):
    """Settings of map -> odom where this node publishes it, from pose to pose.

    A rotation counts as the way of a point 1 m from the robot: 0.5 rad as 0.5 m.
    """

    smoothing_tau: float = setting(
        0.0,
        'time in which map -> odom moves 63 % of the way to the last accepted pose; 0: at once',
        unit='s',
        low=0.0,
        high=60.0,
    )
    max_jump: float = setting(
        0.0,
        'distance and angle by which an accepted pose may move the robot in the map; beyond it '
        'it is JUMP_REJECTED until jump_confirmations poses agree, which then replace the '
        'correction at once; 0: unlimited',
        unit='m, rad',
        low=0.0,
        high=1000.0,
    )
    jump_confirmations: int = setting(
        3,
        'consecutive poses beyond max_jump that must agree, from two viewpoints',
        low=2,
        high=100,
        origin=NOT_MEASURED,
    )
    jump_agreement: float = setting(
        0.3,
        'distance and angle up to which poses agree, after the motion by odometry between them',
        unit='m, rad',
        low=0.01,
        high=10.0,
        origin=NOT_MEASURED,
    )
    max_correction_rate: float = setting(
        0.0,
        'largest speed at which map -> odom moves the robot in the map, and turns it, while '
        'poses correct the drift of odometry; 0: unlimited',
        unit='m/s, rad/s',
        low=0.0,
        high=1000.0,
    )


@dataclass(frozen=True)
class AcceptConfig:
    """Settings of acceptance. Where a value is negative the map's own acceptance model stands.

    Enough landmarks or enough local features verify a pose alone; else the scene coordinates must
    meet all other conditions.
    """

    min_inlier_ratio: float = setting(
        -1.0,
        'inliers among the cells, for poses that nothing else verifies; negative: from the map',
        high=1.0,
    )
    min_inliers: int = setting(
        -1, 'inlier cells, for poses that nothing else verifies; negative: from the map'
    )
    min_spread: float = setting(
        -1.0,
        'share of the image that the inliers cover, for poses that '
        'nothing else verifies; negative: from the map',
        high=1.0,
    )
    min_agreement: float = setting(
        -1.0,
        'share of the refined hypotheses that agree with the '
        'winner, for poses that nothing else verifies; negative: '
        'from the map',
        high=1.0,
    )
    min_visible_inlier_ratio: float = setting(
        -1.0,
        'inliers among the landmarks that are not occluded at which these alone verify a '
        'pose; 1: in effect never; negative: from the map',
        high=1.0,
    )
    min_feature_inliers: int = setting(
        -1,
        'local features that agree with a pose, at most two in each of 48 grid bins of the '
        'image, at which these alone verify it; negative: from the map',
    )
    max_latency_ms: float = setting(
        0.0,
        'time after which no further candidate poses are '
        'computed for an image without a verified pose; 0: no limit',
        unit='ms',
        low=0.0,
    )
    max_position_sigma: float = setting(
        0.1,
        'standard deviation of the position at which a pose '
        "is refused, as a share of the scene's depth; 0: not "
        'tested',
        low=0.0,
    )
    refuse_twins: bool = setting(
        True,
        'refuse poses in a place that has a twin in the map, such as one of two equal rooms, '
        'unless a guess tells which of the two it is',
    )
    max_focal_error: float = setting(
        0.04,
        'relative error of the given focal length at which a '
        'pose is refused, since the image fits another one; 0: the '
        'focal length is not tested',
        low=0.0,
        high=1.0,
    )


@dataclass(frozen=True)
class MapSetConfig:
    """Settings of queries in a map set."""

    maps: int = setting(
        3,
        'most maps of a set that an image is searched in, the most probable ones',
        low=1,
        origin='of 213 images of 14 scenes all show one of the first 3 by their place codes; of '
        '185 images of 24 rendered rooms all show one of the first 2 by features as well',
    )
    sure: float = setting(
        0.9,
        'probability of a map by place codes from which on local features are not asked',
        low=0.0,
        high=1.0,
        origin=NOT_MEASURED,
    )
    temperature: float = setting(
        0.05,
        'of the softmax over similarities of place codes',
        low=1e-4,
        origin='of 0.02, 0.05, 0.1 and 0.2 the most likely for 240 images of 24 rendered rooms',
    )
    feature_temperature: float = setting(
        0.1,
        'of the same similarities where the votes of local features are added',
        low=1e-4,
        origin='as temperature',
    )
    min_share: float = setting(
        0.06,
        'share of the hypotheses below which a map is not searched',
        low=0.0,
        high=1.0,
        origin='with maps beyond it none of 240 images of 24 rendered rooms was found in addition',
    )
    min_hypotheses: int = setting(
        16, 'least hypotheses of a map that is searched', low=1, origin=NOT_MEASURED
    )
    ensemble: bool = setting(
        False, 'search every map with the whole budget and take the best pose (Poker)'
    )
    margin: float = setting(
        0.1,
        'share of the landmarks in view by which a pose must exceed the best pose in another map '
        'of the set that features agree with; else the image is AMBIGUOUS',
        low=0.0,
        high=1.0,
        origin='three standard deviations of the difference, of 200 landmarks of which 90 % agree',
    )
    memory_mb: float = setting(
        2000.0,
        'memory of the loaded maps of a set; beyond it the least recently used is dropped',
        unit='MB',
        low=1.0,
    )


@dataclass(frozen=True)
class MappingConfig:
    """Settings of mapping (ACE, section 3, with a schedule that follows a time budget)."""

    recipe: str = setting('ace', 'which system of the DSAC family learns it: `dsac map --help`')
    minutes: float = setting(
        1.0, 'most time for training the head; the schedule ends with it', unit='min', low=0.01
    )
    steps: int = setting(800, 'most gradient steps', low=1)
    batch: int = setting(0, 'patches per step; 0: 2048 on a CPU, 5120 on a GPU', low=0)
    learning_rate: float = setting(
        5e-3,
        'peak of the one-cycle schedule for 5120 patches a step; '
        'scaled by the square root of what the batch is',
        low=1e-6,
    )
    experts: int = setting(8, 'experts of the head, each for one cluster of descriptors', low=1)
    width: int = setting(160, "channels of an expert's hidden layers", low=8)
    blocks: int = setting(1, 'residual blocks of an expert', low=0)
    reference_images_mb: float = setting(
        1.0,
        'size of the reference images that the map keeps to align poses with',
        unit='MB',
        low=0.0,
    )
    points: int = setting(
        25000,
        'most points that the map keeps with a descriptor of 64 bytes '
        'each, for views that it never saw',
        low=0,
        high=1_000_000,
    )
    short_side: int = setting(
        480, 'short side of the images that poses are refined on', unit='px', low=64
    )
    network_short_side: int = setting(
        240,
        'short side of the images that the network of the ace '
        'recipe sees, of a lens like that of most mapping frames; '
        'those of other recipes see `short_side`',
        unit='px',
        low=64,
        high=480,
    )
    max_frames: int = setting(2000, 'frames kept, evenly spread over the source', low=2)
    passes: int = setting(2, 'augmented passes over the frames that fill the buffer', low=1)
    patches_per_image: int = setting(1024, 'patches buffered per image and pass', low=16)
    max_zoom: float = setting(1.5, 'largest change of scale of the augmentation', low=1.0)
    max_rotation: float = setting(
        15.0, 'largest rotation of the augmentation', unit='deg', low=0.0, high=180.0
    )
    depth: str = setting('auto', 'use depth where frames have it', choices=('auto', 'off'))
    refine_poses: bool = setting(
        False,
        'make the poses agree with the images first: for poses of odometry or of a coarse SLAM',
    )
    trust_poses: bool = setting(
        False, 'learn even where images contradict the poses or their unit, or show no motion'
    )
    held_out: float = setting(
        0.08, 'share of the frames in the block that is only measured', low=0.0, high=0.5
    )
    early_stop: float = setting(
        0.9, 'share of a batch within 10 px at which cooling down begins', low=0.0, high=1.0
    )
    seed: int = setting(0, 'seed of all draws', low=0)
