# SPDX-License-Identifier: Apache-2.0
"""Absolute pose regression: an image to its pose by one network."""
