"""The curves of the models' trainings."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from absynth.reporting.figures.style import (
    TEXT_WIDTH,
    as_written,
    hide_frame,
    line_styles,
    model_styles,
    set_style,
)

_TITLES = {"loss": "loss", "accuracy": "accuracy on training images", "kl": "KL divergence"}


def training_figure(
    classifiers: Mapping[str, pd.DataFrame], vaes: Mapping[int, pd.DataFrame], *, models: Mapping[str, str]
) -> Figure:
    """Loss and accuracy of each classifier, loss and KL of each class's VAE, against the epoch.

    classifiers: by model, epoch, loss and accuracy; vaes: by class, epoch, loss and kl; either may be empty
    models: labels and, by their order, colours
    """
    set_style()
    models = as_written(models)
    styles = model_styles(models)
    blocks = []
    if classifiers:
        curves = [(models[name], curve, styles[name]) for name, curve in classifiers.items()]
        blocks.append(("Classifiers", curves, ("loss", "accuracy")))
    if vaes:
        lines = line_styles([str(label) for label in vaes])
        curves = [(str(label), curve, lines[str(label)]) for label, curve in vaes.items()]
        blocks.append(("VAEs", curves, ("loss", "kl")))
    size = (TEXT_WIDTH, 2.5 * len(blocks))
    figure, panels = plt.subplots(len(blocks), 2, figsize=size, squeeze=False, layout="constrained")
    for (name, curves, quantities), row in zip(blocks, panels, strict=True):
        for panel, quantity in zip(row, quantities, strict=True):
            for label, curve, style in curves:
                mark = "." if len(curve) == 1 else None  # a line of one point shows nothing
                panel.plot(curve["epoch"], curve[quantity], linewidth=1.2, label=label, marker=mark, **style)
            panel.set(xlabel="epoch", ylabel=_TITLES[quantity], title=name)
            if quantity == "loss":
                panel.set_yscale("log")
        row[-1].legend(
            handles=row[-1].lines,
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            handlelength=2.6,
        )
    hide_frame(figure.axes)
    return figure
