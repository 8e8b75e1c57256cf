# SPDX-License-Identifier: Apache-2.0
"""A place divided into clusters, one map for each, learned by one process or by several."""
