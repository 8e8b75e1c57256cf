# SPDX-License-Identifier: Apache-2.0
"""Pose from essential matrices with retrieved mapping images: no points, no training."""
