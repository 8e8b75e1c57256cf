# SPDX-License-Identifier: Apache-2.0
"""PixLoc: a pose refined by the alignment of learned features, coarse to fine."""
