# SPDX-License-Identifier: Apache-2.0
"""A map from above."""
from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dsac_ros.evaluation.plots.style import FAINT, framed, plan, styled


@styled
def draw_map(header: dict[str, Any]) -> Figure:
    """A map from above: where it was learned from and what it spans."""
    low, high = (np.array(header['bounds'][end]) for end in ('min', 'max'))
    figure, axes = plan(*framed(np.stack([low[:2], high[:2]])))
    axes.add_patch(Rectangle(tuple(low[:2]), *(high - low)[:2], facecolor='#f5f7fa',
                             edgecolor=FAINT, linestyle='--', zorder=1))
    places = np.array(header.get('keyframes', [])).reshape(-1, 3)
    if len(places):
        dots = axes.scatter(places[:, 0], places[:, 1], c=places[:, 2], s=14, cmap='viridis',
                            norm=Normalize(*(places[:, 2].min(), places[:, 2].max() + 1e-6)))
        bar = figure.colorbar(dots, ax=axes, shrink=0.7, pad=0.02)
        bar.set_label('height of the camera [m]')
        bar.outline.set_visible(False)
    axes.set(xlabel='x [m]', ylabel='y [m]', title=f'{header["name"]}, {header["frames"]} frames')
    return figure
