# SPDX-License-Identifier: Apache-2.0
"""Public protocols of the literature, run on the user's own copy of their data."""
