# SPDX-License-Identifier: Apache-2.0
"""RANSAC as one program: nothing in it needs Python to go on, and a missing compiler is said."""

from dataclasses import replace

import pytest
import torch
from ransac_scenes import scene

from dsac_ros.config import RansacConfig
from dsac_ros.errors import ConfigError
from dsac_ros.ransac import compiled, estimator
from dsac_ros.ransac.estimator import estimate_pose

CONFIG = RansacConfig(hypotheses=128)
SMALL = dict(inliers=0.6, noise=0.01, rows=12, columns=16)


@pytest.fixture(autouse=True)
def forgotten():
    """Forget what one test compiled, or could not."""
    yield
    estimator.compiled_estimate.cache_clear()
    torch._dynamo.reset()


def test_the_compiled_program_gives_the_eager_pose(monkeypatch):
    """Traced as a whole and run as it is: to make machine code of it would take minutes."""
    compile_ = torch.compile
    monkeypatch.setattr(
        torch,
        'compile',
        lambda function, **options: compile_(function, backend='eager', **options),
    )
    image, _ = scene(3, **SMALL)
    plain = estimate_pose(image, CONFIG)
    program = estimate_pose(image, replace(CONFIG, compiled=True))
    again = estimate_pose(scene(4, **SMALL)[0], replace(CONFIG, compiled=True))
    torch.testing.assert_close(program.world_from_camera, plain.world_from_camera)
    torch.testing.assert_close(program.covariance, plain.covariance)
    torch.testing.assert_close(
        again.world_from_camera, estimate_pose(scene(4, **SMALL)[0], CONFIG).world_from_camera
    )


def test_missing_compiler_says_what_to_install(monkeypatch):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, 'cxx', (None, '/nowhere/g++'))
    monkeypatch.setattr(config, 'force_disable_caches', True)
    with pytest.raises(ConfigError, match=r'apt install g\+\+.*compiled=false'):
        compiled.compiled(lambda a: (a * 2).sin())(torch.ones(3))
