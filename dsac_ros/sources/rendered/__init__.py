# SPDX-License-Identifier: Apache-2.0
"""A furnished room of our own: exact depth and poses, for tests, the demo and pre-training."""
