# SPDX-License-Identifier: Apache-2.0
"""Pre-training of the encoder that all maps share."""
