# SPDX-License-Identifier: Apache-2.0
"""The other systems that a user could choose, behind the same `localize`; to compare with."""
