"""The attacks there are, as data: what builds them, in which norms, and what they need of a model.

Imported when a workflow starts, so it stays free of torch and Foolbox. An attack's budget stands in the
config under its name; what an entry may hold is in workflow/schemas/attacks.schema.yaml.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class AttackEntry:
    """One attack.

    builder: "module:function", called as builder(norm, **budget); what it returns is called with a Target
        and a SampleRandom
    norms: those it can minimise, with its row title in the table
    gradients: whether it needs a differentiable model
    source: who proposed it
    """

    builder: str
    norms: dict[str, str]
    gradients: bool
    source: str


ATTACKS: dict[str, AttackEntry] = {
    "gaussian_noise": AttackEntry(
        "absynth.attacks.noise:gaussian_noise", {"l2": "Gaussian noise"}, False, "Schott et al. 2019"
    ),
    "boundary": AttackEntry(
        "absynth.attacks.boundary:boundary", {"l2": "Boundary attack"}, False, "Brendel et al. 2018"
    ),
    "pointwise": AttackEntry(
        "absynth.attacks.pointwise:pointwise",
        {"l2": "Pointwise attack", "l0": "Pointwise attack"},
        False,
        "Schott et al. 2019",
    ),
    "fgm": AttackEntry("absynth.attacks.gradient:fgm", {"l2": "FGM"}, True, "Goodfellow et al. 2015"),
    "fgsm": AttackEntry("absynth.attacks.gradient:fgsm", {"linf": "FGSM"}, True, "Goodfellow et al. 2015"),
    "deepfool": AttackEntry(
        "absynth.attacks.gradient:deepfool",
        {"l2": "DeepFool", "linf": "L∞ DeepFool"},
        True,
        "Moosavi-Dezfooli et al. 2016",
    ),
    "bim": AttackEntry(
        "absynth.attacks.gradient:bim", {"l2": "L2 BIM", "linf": "BIM"}, True, "Kurakin et al. 2017"
    ),
    "mim": AttackEntry("absynth.attacks.gradient:mim", {"linf": "MIM"}, True, "Dong et al. 2018"),
    "ddn": AttackEntry("absynth.attacks.minimum_norm:ddn", {"l2": "DDN"}, True, "Rony et al. 2019"),
    "carlini_wagner": AttackEntry(
        "absynth.attacks.minimum_norm:carlini_wagner",
        {"l2": "Carlini & Wagner"},
        True,
        "Carlini & Wagner 2017",
    ),
    "fmn": AttackEntry(
        "absynth.attacks.minimum_norm:fmn", {"linf": "FMN", "l0": "FMN"}, True, "Pintor et al. 2021"
    ),
    "brendel_bethge": AttackEntry(
        "absynth.attacks.minimum_norm:brendel_bethge",
        dict.fromkeys(("l2", "linf", "l0"), "Brendel & Bethge"),
        True,
        "Brendel et al. 2019",
    ),
    "hop_skip_jump": AttackEntry(
        "absynth.attacks.minimum_norm:hop_skip_jump",
        dict.fromkeys(("l2", "linf"), "HopSkipJump"),
        False,
        "Chen et al. 2020",
    ),
    "salt_pepper": AttackEntry(
        "absynth.attacks.noise:salt_pepper", {"l0": "Salt & pepper noise"}, False, "Schott et al. 2019"
    ),
}


def foolbox_entry(label: str, norms: list[str]) -> AttackEntry:
    """The entry of a Foolbox attack that a config names by its class; it is taken to need gradients."""
    return AttackEntry(
        "absynth.attacks.foolbox_bridge:foolbox_attack", dict.fromkeys(norms, label), True, "Foolbox"
    )
