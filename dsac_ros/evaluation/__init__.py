# SPDX-License-Identifier: Apache-2.0
"""What a map is worth: runs over frames, conditions, the report and its pictures."""
