# SPDX-License-Identifier: Apache-2.0
"""Frames on their way into the mapping: reading, views, patches, augmentation."""
