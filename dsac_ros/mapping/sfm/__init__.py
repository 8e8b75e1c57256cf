# SPDX-License-Identifier: Apache-2.0
"""Structure from motion at given poses: matches, tracks, and the parts of a map made of them."""
