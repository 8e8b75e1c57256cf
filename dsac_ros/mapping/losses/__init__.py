# SPDX-License-Identifier: Apache-2.0
"""Losses on scene coordinates."""
