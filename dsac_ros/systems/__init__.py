# SPDX-License-Identifier: Apache-2.0
"""The other systems of the founding papers, behind one protocol."""
