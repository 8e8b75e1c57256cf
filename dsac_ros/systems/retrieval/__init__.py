# SPDX-License-Identifier: Apache-2.0
"""Image retrieval: the pose of the most similar mapping image."""
