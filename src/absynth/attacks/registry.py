"""The attacks there are, as data: what builds them, in which norms, and what they need of a model.

Imported when a workflow starts, so it stays free of torch and Foolbox. An attack's options stand in the
config under its name; what an entry may hold is in workflow/schemas/attacks.schema.yaml.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class AttackEntry:
    """One attack.

    builder: "module:function", called as builder(norm, **options), and with the module `substitute` if it needs
        that; what it returns is called with a Target and a SampleRandom
    norms: those it can minimise, with its row title in the table
    gradients: whether it needs a differentiable model
    source: who proposed it
    takes_start: whether it continues from the best adversarial that is known, if there is one
    latents: whether it needs a model that infers latents (`Target.rivals`)
    substitute: whether it needs the substitute, a differentiable model of the run that is never attacked itself
    refines: attacks of a single step that it iterates, and should never be weaker than
    estimates: the attack that it repeats with estimated gradients
    lower_bound: whether it needs a model that absynth.certificates bounds from below
    input_threshold: whether it needs a model that binarises its input
    logits: whether it needs the logits, and not only decisions; every model has them
    at_epsilons: whether it attacks within the config's ε of the norm alone, and needs that as `epsilon`
    batch_free: whether an image's adversarial is the same in any batch and shard, whatever its companions, but for
        the rounding of the model's own arithmetic; it then draws its random numbers from a SampleRandom
    """

    builder: str
    norms: dict[str, str]
    gradients: bool
    source: str
    takes_start: bool = False
    latents: bool = False
    substitute: bool = False
    refines: tuple[str, ...] = ()
    estimates: str | None = None
    lower_bound: bool = False
    input_threshold: bool = False
    logits: bool = False
    at_epsilons: bool = False
    batch_free: bool = True


# The attacks of the paper (Schott et al. 2019, Table 1), of which the tables give the minimum apart.
PAPER = (
    *("transfer", "gaussian_noise", "salt_pepper", "boundary", "pointwise", "latent_descent"),
    *("fgm", "fgm_ge", "fgsm", "fgsm_ge", "deepfool", "deepfool_ge", "bim", "bim_ge", "mim", "mim_ge"),
)

ATTACKS: dict[str, AttackEntry] = {
    "transfer": AttackEntry(
        "absynth.attacks.transfer:transfer",
        dict.fromkeys(("l2", "linf"), "Transfer Attacks"),
        False,
        "Schott et al. 2019",
        substitute=True,
    ),
    "gaussian_noise": AttackEntry(
        "absynth.attacks.noise:gaussian_noise", {"l2": "Gaussian noise"}, False, "Schott et al. 2019"
    ),
    "boundary": AttackEntry(
        "absynth.attacks.boundary:boundary",
        {"l2": "Boundary attack"},
        False,
        "Brendel et al. 2018",
        takes_start=True,
    ),
    "pointwise": AttackEntry(
        "absynth.attacks.pointwise:pointwise",
        {"l2": "Pointwise attack", "l0": "Pointwise attack"},
        False,
        "Schott et al. 2019",
        takes_start=True,
    ),
    "fgm": AttackEntry("absynth.attacks.gradient:fgm", {"l2": "FGM"}, True, "Goodfellow et al. 2015"),
    "fgm_ge": AttackEntry(
        "absynth.attacks.estimation:fgm_ge",
        {"l2": "FGM w/ GE"},
        False,
        "Schott et al. 2019",
        estimates="fgm",
    ),
    "fgsm": AttackEntry("absynth.attacks.gradient:fgsm", {"linf": "FGSM"}, True, "Goodfellow et al. 2015"),
    "fgsm_ge": AttackEntry(
        "absynth.attacks.estimation:fgsm_ge",
        {"linf": "FGSM w/ GE"},
        False,
        "Schott et al. 2019",
        estimates="fgsm",
    ),
    "deepfool": AttackEntry(
        "absynth.attacks.gradient:deepfool",
        {"l2": "DeepFool", "linf": "L∞ DeepFool"},
        True,
        "Moosavi-Dezfooli et al. 2016",
        refines=("fgm", "fgsm"),
    ),
    "deepfool_ge": AttackEntry(
        "absynth.attacks.estimation:deepfool_ge",
        {"l2": "DeepFool w/ GE", "linf": "L∞ DeepFool w/ GE"},
        False,
        "Schott et al. 2019",
        refines=("fgm_ge", "fgsm_ge"),
        estimates="deepfool",
    ),
    "bim": AttackEntry(
        "absynth.attacks.gradient:bim",
        {"l2": "L2 BIM", "linf": "BIM"},
        True,
        "Kurakin et al. 2017",
        refines=("fgm", "fgsm"),
    ),
    "bim_ge": AttackEntry(
        "absynth.attacks.estimation:bim_ge",
        {"l2": "L2 BIM w/ GE", "linf": "BIM w/ GE"},
        False,
        "Schott et al. 2019",
        refines=("fgm_ge", "fgsm_ge"),
        estimates="bim",
    ),
    "mim": AttackEntry(
        "absynth.attacks.gradient:mim", {"linf": "MIM"}, True, "Dong et al. 2018", refines=("fgsm",)
    ),
    "mim_ge": AttackEntry(
        "absynth.attacks.estimation:mim_ge",
        {"linf": "MIM w/ GE"},
        False,
        "Schott et al. 2019",
        refines=("fgsm_ge",),
        estimates="mim",
    ),
    "ddn": AttackEntry(
        "absynth.attacks.minimum_norm:ddn", {"l2": "DDN"}, True, "Rony et al. 2019", refines=("fgm",)
    ),
    "latent_descent": AttackEntry(
        "absynth.attacks.latent_descent:latent_descent",
        {"l2": "Latent Descent attack"},
        False,
        "Schott et al. 2019",
        latents=True,
    ),
    "carlini_wagner": AttackEntry(
        "absynth.attacks.foolbox.minimum_norm:carlini_wagner",
        {"l2": "Carlini & Wagner"},
        True,
        "Carlini & Wagner 2017",
        refines=("fgm",),
    ),
    "fmn": AttackEntry(
        "absynth.attacks.minimum_norm:fmn",
        {"linf": "FMN", "l0": "FMN"},
        True,
        "Pintor et al. 2021",
        refines=("fgsm",),
    ),
    "brendel_bethge": AttackEntry(
        "absynth.attacks.brendel_bethge:brendel_bethge",
        dict.fromkeys(("l2", "linf", "l0"), "Brendel & Bethge"),
        True,
        "Brendel et al. 2019",
        takes_start=True,
    ),
    "boundary_descent": AttackEntry(
        "absynth.attacks.boundary_descent:boundary_descent",
        dict.fromkeys(("l2", "linf"), "Boundary descent"),
        True,
        "docs/derivations/boundary-descent.md",
        takes_start=True,
    ),
    "apgd": AttackEntry(
        "absynth.attacks.apgd:apgd",
        dict.fromkeys(("l2", "linf"), "APGD"),
        True,
        "Croce & Hein 2020b",
        takes_start=True,
    ),
    "fab": AttackEntry(
        "absynth.attacks.fab:fab", dict.fromkeys(("l2", "linf"), "FAB"), True, "Croce & Hein 2020a"
    ),
    "square": AttackEntry(
        "absynth.attacks.square:square",
        dict.fromkeys(("l2", "linf"), "Square"),
        False,
        "Andriushchenko et al. 2020",
        takes_start=True,
        logits=True,
    ),
    "apgd_ce": AttackEntry(
        "absynth.attacks.autoattack:apgd_ce",
        dict.fromkeys(("l2", "linf"), "APGD-CE at ε"),
        True,
        "Croce & Hein 2020b",
        takes_start=True,
        at_epsilons=True,
    ),
    "apgd_t": AttackEntry(
        "absynth.attacks.autoattack:apgd_t",
        dict.fromkeys(("l2", "linf"), "APGD-T at ε"),
        True,
        "Croce & Hein 2020b",
        takes_start=True,
        at_epsilons=True,
    ),
    "fab_t": AttackEntry(
        "absynth.attacks.autoattack:fab_t",
        dict.fromkeys(("l2", "linf"), "FAB-T at ε"),
        True,
        "Croce & Hein 2020a",
        takes_start=True,
        at_epsilons=True,
    ),
    "square_at_epsilon": AttackEntry(
        "absynth.attacks.autoattack:square_at_epsilon",
        dict.fromkeys(("l2", "linf"), "Square at ε"),
        False,
        "Andriushchenko et al. 2020",
        takes_start=True,
        logits=True,
        at_epsilons=True,
    ),
    "hop_skip_jump": AttackEntry(
        "absynth.attacks.foolbox.minimum_norm:hop_skip_jump",
        dict.fromkeys(("l2", "linf"), "HopSkipJump"),
        False,
        "Chen et al. 2020",
        takes_start=True,
    ),
    "certificate": AttackEntry(
        "absynth.attacks.certificate:certificate_attack",
        dict.fromkeys(("l2", "linf", "l0"), "Certificate's minimiser"),
        False,
        "docs/derivations/certificates.md",
        lower_bound=True,
    ),
    "salt_pepper": AttackEntry(
        "absynth.attacks.noise:salt_pepper", {"l0": "Salt & pepper noise"}, False, "Schott et al. 2019"
    ),
    "beam": AttackEntry(
        "absynth.attacks.beam:beam",
        {"l0": "Beam search"},
        False,
        "Lowerre 1976",
        takes_start=True,
        logits=True,
    ),
    "sparse_rs": AttackEntry(
        "absynth.attacks.sparse_rs:sparse_rs",
        {"l0": "Sparse-RS"},
        False,
        "Croce et al. 2022",
        takes_start=True,
        logits=True,
    ),
    "sigma_zero": AttackEntry(
        "absynth.attacks.sigma_zero:sigma_zero",
        {"l0": "σ-zero"},
        True,
        "Cinà et al. 2025",
    ),
    "sparse_l2": AttackEntry(
        "absynth.attacks.sparse_l2:sparse_l2",
        {"l2": "Sparse search"},
        False,
        "Shaw 1998",
        takes_start=True,
        logits=True,
    ),
    "flips": AttackEntry(
        "absynth.attacks.flips:flips",
        dict.fromkeys(("l2", "linf", "l0"), "Flips"),
        False,
        "Shaw 1998",
        takes_start=True,
        input_threshold=True,
        logits=True,
    ),
}
