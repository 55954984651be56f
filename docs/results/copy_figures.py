"""Copy figures of a finished run to docs/images, at a size for a README: {run}-{figure}.png.

python docs/results/copy_figures.py results/quickstart accuracy_distortion distal
"""

import argparse
from pathlib import Path

from PIL import Image

WIDTH = 1000  # pixels at most


def main(run: Path, figures: list[str], folder: Path) -> None:
    """Write each of the run's figures to `folder`, shrunk and with a palette of 256 colours."""
    for name in figures:
        copy_figure(run / "figures" / f"{name}.png", folder / f"{run.name}-{name}.png")


def copy_figure(source: Path, to: Path) -> None:
    """Write a figure, at most WIDTH pixels wide."""
    with Image.open(source) as image:
        image = image.convert("RGB")
        image.thumbnail((WIDTH, 10 * WIDTH))
        image.quantize(256).save(to, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the run, say results/quickstart")
    parser.add_argument("figures", nargs="+", help="names of its figures, without .png")
    arguments = parser.parse_args()
    main(arguments.run, arguments.figures, Path(__file__).parents[1] / "images")
