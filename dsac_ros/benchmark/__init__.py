# SPDX-License-Identifier: Apache-2.0
"""Comparisons with peers, on scenes, altered images and correspondences."""
