# SPDX-License-Identifier: Apache-2.0
"""Formats of CompressedImage, as they are found in bags."""

from __future__ import annotations

import pytest

from dsac_ros.sources.compressed_format import parse_format

DEPTH = 'compressedDepth'


@pytest.mark.parametrize(
    'text, encoding, transport, codec, stored',
    [
        ('bgr8; jpeg compressed bgr8', 'bgr8', 'compressed', 'jpeg', 'bgr8'),
        ('rgb8; png compressed bgr8', 'rgb8', 'compressed', 'png', 'bgr8'),
        ('rgb8;jpeg compressed rgb8', 'rgb8', 'compressed', 'jpeg', 'rgb8'),
        ('mono8; jpeg compressed ', 'mono8', 'compressed', 'jpeg', ''),
        ('16UC1; png compressed ', '16UC1', 'compressed', 'png', ''),
        ('32FC1; tiff compressed ', '32FC1', 'compressed', 'tiff', ''),
        ('16UC1; compressedDepth', '16UC1', DEPTH, '', ''),
        ('16UC1; compressedDepth png', '16UC1', DEPTH, 'png', ''),
        ('32FC1; compressedDepth rvl', '32FC1', DEPTH, 'rvl', ''),
        ('16UC1; COMPRESSEDDEPTH RVL', '16UC1', DEPTH, 'rvl', ''),
        ('compressedDepth png', '', DEPTH, 'png', ''),
        ('jpeg', '', 'compressed', 'jpeg', ''),
        ('JPG', '', 'compressed', 'jpeg', ''),
        ('.png', '', 'compressed', 'png', ''),
        ('image/webp', '', 'compressed', 'webp', ''),
        ('png compressed', '', 'compressed', 'png', ''),
        ('bgr8; jpeg', 'bgr8', 'compressed', 'jpeg', ''),
        ('jpeg\0', '', 'compressed', 'jpeg', ''),
        ('', '', 'compressed', '', ''),
        (';;', '', 'compressed', ';', ''),
    ],
)
def test_formats(text, encoding, transport, codec, stored):
    found = parse_format(text)
    assert found == (encoding, transport, codec, stored)
    assert found.is_depth == (transport == DEPTH)
