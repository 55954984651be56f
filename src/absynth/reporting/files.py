"""Links from the report to the files of its run that lie beside it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd


@dataclass(frozen=True)
class Link:
    """A file or folder, and where it lies from the page: a relative URL."""

    text: str
    target: str


@dataclass(frozen=True)
class Files:
    """The files that a page links to: groups with a title, a sentence on the content, and links."""

    title: str
    text: str
    links: Sequence[Link]


def linked(
    folder: str | os.PathLike[str],
    *,
    tables: Sequence[str | os.PathLike[str]],
    images: Sequence[str | os.PathLike[str]] = (),
    minimal: Sequence[str | os.PathLike[str]] = (),
    synthesis: Sequence[str | os.PathLike[str]] = (),
    drawings: Sequence[str | os.PathLike[str]] = (),
    attacks: pd.DataFrame | None = None,
) -> list[Files]:
    """Groups of links from a page in `folder`; groups without any are left out.

    tables, drawings: CSV or JSON, and SVG; images: the test split; minimal, synthesis: HDF5
    attacks: columns model, norm and attack: those of which the folder attacks/ has adversarials
    """
    records = [] if attacks is None else attacks[["model", "norm", "attack"]].drop_duplicates().to_numpy()
    groups = [
        ("Tables", "CSV, and JSON where noted.", _links(tables, folder)),
        ("Images", "The images attacked and their labels, HDF5.", _links(images, folder)),
        ("Best adversarials", "Over all attacks, of each model and norm, HDF5.", _links(minimal, folder)),
        (
            "All adversarials",
            "Of each attack on a model in a norm: folders of HDF5 files, one for each range of images.",
            [Link("/".join(case), quote(f"attacks/{'/'.join(case)}/")) for case in records],
        ),
        ("Reconstructions", "HDF5.", _links(synthesis, folder)),
        ("Figures", "SVG; as PNG beside them.", _links(drawings, folder)),
    ]
    return [Files(title, text, links) for title, text, links in groups if links]


def _links(paths: Sequence[str | os.PathLike[str]], folder: str | os.PathLike[str]) -> list[Link]:
    places = [Path(os.path.relpath(path, folder)).as_posix() for path in paths]
    return [Link(place.partition("/")[2] or place, quote(place)) for place in dict.fromkeys(places)]
