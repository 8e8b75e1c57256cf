# SPDX-License-Identifier: Apache-2.0
"""Validation of a new map, and its acceptance model."""
