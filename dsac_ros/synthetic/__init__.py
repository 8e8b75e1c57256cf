# SPDX-License-Identifier: Apache-2.0
"""A renderer of rooms: worlds, drives and images for the demo, tests and pre-training."""
