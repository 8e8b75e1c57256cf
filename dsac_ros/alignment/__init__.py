# SPDX-License-Identifier: Apache-2.0
"""The last stage: a pose that is nearly right is aligned with pictures of the same place."""
