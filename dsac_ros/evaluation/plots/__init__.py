# SPDX-License-Identifier: Apache-2.0
"""Figures of the report; the only package that imports matplotlib (no display is needed)."""
