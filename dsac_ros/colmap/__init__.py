# SPDX-License-Identifier: Apache-2.0
"""Files of COLMAP models, for whoever reads them."""
