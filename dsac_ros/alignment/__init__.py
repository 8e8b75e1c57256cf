# SPDX-License-Identifier: Apache-2.0
"""Retrieval, local features, alignment and verification of poses by what a map keeps."""
