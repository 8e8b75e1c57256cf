# SPDX-License-Identifier: Apache-2.0
"""The tables of `dsac bench`, one module each: HELP, add_arguments and measure."""
