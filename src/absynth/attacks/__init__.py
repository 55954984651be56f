"""Attacks: upper bounds on each image's smallest adversarial perturbation."""

from absynth.attacks.foolbox.lazy import import_lazily

# Before any module here imports one of Foolbox's.
_CRITERIA = dict.fromkeys(("Misclassification", "TargetedMisclassification"), "foolbox.criteria")
import_lazily("foolbox", {"Model": "foolbox.models.base", **_CRITERIA})
import_lazily("foolbox.attacks", {"LinearSearchBlendedUniformNoiseAttack": "foolbox.attacks.blended_noise"})
