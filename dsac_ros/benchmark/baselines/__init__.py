# SPDX-License-Identifier: Apache-2.0
"""The peers: PnP solvers, SIFT and structure from motion."""
