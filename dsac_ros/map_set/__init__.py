# SPDX-License-Identifier: Apache-2.0
"""Map sets: the maps of a building, each a file of its own, and one file that lists them."""
