# SPDX-License-Identifier: Apache-2.0
"""Evaluation of maps: localization of many frames, conditions, report and figures."""
