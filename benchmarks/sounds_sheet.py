"""The picture of all sound families: one small log-mel spectrogram each, as it sounds before any recording.

python -m benchmarks.sounds_sheet docs/pictures/sounds.png
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from petl_ast.config import SpectrogramConfig
from petl_ast.data.sounds.clips import time_axis
from petl_ast.data.sounds.registry import FAMILIES, GROUPS
from petl_ast.data.spectrogram import log_mel
from petl_ast.files import write_whole
from petl_ast.utils.visualization import COLOURMAP, STYLE

SECONDS, MEL_BINS = 3.0, 64
COLUMNS = 16  # the largest group fits in a row
DECIBELS = 60.0  # shown below a family's loudest bin
PALETTE = 128  # colours of the picture: a quarter of the bytes of full colour
SETTINGS = SpectrogramConfig(num_mel_bins=MEL_BINS, max_length=int(100 * SECONDS) - 2, mean=0.0, std=0.5)


def sheet(seed: int) -> Figure:
    """One draw of every family, a group in each row: time to the right, mel bins upwards."""
    t = time_axis(SECONDS, SETTINGS.sampling_rate)
    figure = Figure(figsize=(0.84 * COLUMNS, 0.78 * len(GROUPS)))
    axes = figure.subplots(len(GROUPS), COLUMNS)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (group, families) in zip(axes, GROUPS.items(), strict=True):
        row[0].text(
            -0.08, 0.5, group, rotation=90, va="center", ha="right", size=7, transform=row[0].transAxes
        )
        for axis, family in zip(row, families, strict=False):
            rng = np.random.default_rng(np.random.SeedSequence([seed, list(FAMILIES).index(family.__name__)]))
            wave = family(rng, t).wave
            values = log_mel([0.5 * wave / np.abs(wave).max()], SETTINGS)[0].numpy().T  # log of power
            top = float(values.max())
            bottom = top - DECIBELS * np.log(10) / 10
            axis.imshow(values, origin="lower", aspect="auto", cmap=COLOURMAP, vmin=bottom, vmax=top)
            axis.set_title(family.__name__.replace("_", " "), fontsize=4.6, pad=1.5)
    return figure


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="The picture to write.")
    parser.add_argument("--seed", type=int, default=0, help="Another seed draws other sounds of each family.")
    options = parser.parse_args()
    with matplotlib.rc_context(STYLE), io.BytesIO() as buffer:
        sheet(options.seed).savefig(buffer, format="png")
        picture = Image.open(buffer).convert("RGB").quantize(PALETTE)
    write_whole(options.path, lambda temporary: picture.save(temporary, format="png", optimize=True))


if __name__ == "__main__":
    main()
