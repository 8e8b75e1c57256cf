# SPDX-License-Identifier: Apache-2.0
"""Devices, threads, memory and time."""
