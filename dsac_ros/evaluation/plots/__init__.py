# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report; the one place that knows matplotlib (no display is needed)."""
