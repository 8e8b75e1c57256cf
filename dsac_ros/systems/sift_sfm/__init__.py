# SPDX-License-Identifier: Apache-2.0
"""SIFT features and structure from motion, as hloc and Active Search do."""
