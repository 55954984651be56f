"""The kinds of model there are, as data: what each is built from and what an attack may use of it.

Imported when a workflow starts, so it stays free of torch. A model of a config is an entry of `models`, whose
`kind` (its own name if left out) is one of these.
"""

from dataclasses import dataclass

from absynth.data.format import PAPER, DataFormat

SCRIPTS, EXPORTED = (
    (".pt", ".pth", ".ts"),
    (".pt2",),
)  # suffixes of programs, of TorchScript and of torch.export


@dataclass(frozen=True)
class ModelKind:
    """What the workflow must know of a kind of model.

    builder: "module:function", called as builder(ModelFiles, **options)
    label: its column in tables and its name in figures
    weights: files under models/, {name} the model's own name; ABS has one for each {label}
    trainer: which rule makes the weights, "classifier", "vae" or "prototypes"; None if there is nothing to make
    options: keys of its config entry that the builder takes (the others belong to what makes its weights)
    reads_training_images: whether the builder reads the training split
    tuned: whether calibration also finds γ, which the builder then needs
    gradients: whether the model is differentiable
    latents: whether it classifies by latents that it infers for each class (`ABS.infer`)
    published: its files among the authors' released weights, in the order of `weights`, or of `sources` if it has
        any; none if there are none
    lower_bound: whether absynth.certificates bounds its distances from below
    proved: whether these bounds are proved, not searched (`absynth.basis`)
    sources: the weights that its own are made from, named like them; none if it is trained itself
    input_threshold: whether it binarises its input
    takes: the images that it takes and their classes; None for any
    """

    builder: str
    label: str
    weights: tuple[str, ...] = ("{name}/weights.pt",)
    trainer: str | None = "classifier"
    options: tuple[str, ...] = ()
    reads_training_images: bool = False
    tuned: bool = False
    gradients: bool = True
    latents: bool = False
    published: tuple[str, ...] = ()
    lower_bound: bool = False
    proved: bool = False
    sources: tuple[str, ...] = ()
    input_threshold: bool = False
    takes: DataFormat | None = None


LABELS = tuple(range(PAPER.n_classes))
_VAES = tuple(f"abs/vae_{label}.pt" for label in LABELS)
_PUBLISHED_VAES = tuple(f"ABS_{label}.net" for label in LABELS)

KINDS: dict[str, ModelKind] = {
    "cnn": ModelKind("absynth.models.cnn:build_cnn", "CNN", published=("vanilla_cnn.net",), takes=PAPER),
    "binary_cnn": ModelKind(
        "absynth.models.cnn:build_binary_cnn",
        "Binary CNN",
        published=("binary_cnn.net",),
        input_threshold=True,
        takes=PAPER,
    ),
    "nearest_neighbor": ModelKind(
        "absynth.models.nearest_neighbor:build_nearest_neighbor",
        "Nearest Neighbor",
        weights=(),
        trainer=None,
        reads_training_images=True,
        lower_bound=True,
        proved=True,
    ),
    "madry": ModelKind("absynth.models.cnn:build_madry", "Madry et al."),
    "binary_abs": ModelKind(
        "absynth.models.abs.model:build_binary_abs",
        "Binary ABS",
        _VAES,
        "vae",
        tuned=True,
        latents=True,
        published=_PUBLISHED_VAES,
        lower_bound=True,
        input_threshold=True,
        takes=PAPER,
    ),
    "abs": ModelKind(
        "absynth.models.abs.model:build_abs",
        "ABS",
        _VAES,
        "vae",
        latents=True,
        published=_PUBLISHED_VAES,
        lower_bound=True,
        takes=PAPER,
    ),
    "prototype_abs": ModelKind(
        "absynth.models.prototypes:build_prototype_abs",
        "Prototype ABS",
        ("{name}/prototypes.pt",),
        "prototypes",
        published=_PUBLISHED_VAES,
        lower_bound=True,
        proved=True,
        sources=_VAES,
        takes=PAPER,
    ),
    "substitute": ModelKind(
        "absynth.models.cnn:build_substitute", "Substitute", published=("transfer_cnn.net",), takes=PAPER
    ),
    "custom": ModelKind(
        "absynth.models.custom:build_custom",
        "",
        weights=(),
        trainer=None,
        options=(
            *("class", "arguments", "weights", "state_dict_key", "program", "preprocessing"),
            *("nonfinite", "random", "draws"),
        ),
    ),
}
