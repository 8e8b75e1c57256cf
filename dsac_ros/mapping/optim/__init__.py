# SPDX-License-Identifier: Apache-2.0
"""The training loop, its schedule, checkpoints and progress."""
