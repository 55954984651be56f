"""One attack on a model at hand: what a job of the workflow runs, in one call."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from absynth.api.subject import Array, Model, Subject, check_norm, evaluating, subject
from absynth.attacks.foreign.function import called_attack
from absynth.attacks.outside import LIBRARIES, outside_kind
from absynth.attacks.registry import ATTACKS
from absynth.attacks.run import AttackSettings, Samples, attack_images
from absynth.attacks.sequence import Step
from absynth.errors import InputError
from absynth.models.building import resolve
from absynth.models.checks import check_images
from absynth.workflow.at_hand import MODEL, plan_at_hand, step_of
from absynth.workflow.plan import Plan


@dataclass(frozen=True)
class Result:
    """What an attack found on n images, as tensors on the device of the images.

    attack, norm: its name and the norm
    adversarial (n, C, H, W) float32 in [0, 1]: the best over all that the attack asked the model; the clean image
        where it failed and where that is misclassified
    distance (n,) float64: 0 where the clean image is misclassified, inf where the attack failed
    success (n,) bool: whether `adversarial` is misclassified, as a clean image may be
    label, clean_prediction, prediction (n,) int64: the last of `adversarial`
    queries, gradients (n,) int64: images that the model was asked for, and how many of them with a gradient
    seconds: that the attack took
    """

    attack: str
    norm: str
    adversarial: Tensor
    distance: Tensor
    success: Tensor
    label: Tensor
    clean_prediction: Tensor
    prediction: Tensor
    queries: Tensor
    gradients: Tensor
    seconds: float

    def __len__(self) -> int:
        return len(self.distance)

    def __repr__(self) -> str:
        median = float(np.median(self.distance.cpu().numpy()))
        found = f"{int(self.success.sum())} of {len(self)} images misclassified"
        return f"<Result of {self.attack} in {self.norm}: {found}, median distance {median:.4g}>"

    def frame(self) -> pd.DataFrame:
        """All but the images, one row per image."""
        names = ("label", "clean_prediction", "prediction", "distance", "success", "queries", "gradients")
        return pd.DataFrame({name: getattr(self, name).cpu().numpy() for name in names})


def attack(
    model: Model,
    x: Array,
    y: Array,
    attack: Any = "ddn",
    norm: str = "l2",
    *,
    seed: int = 0,
    index: Sequence[int] | None = None,
    starts: Array | None = None,
    **options: Any,
) -> Result:
    """Find the best adversarial of each image by one attack, as a job of the workflow does.

    model: a module, or a function, from images (n, C, H, W) in [0, 1] to logits (n, K); used where it is, in
        evaluation mode, and left as it was
    x, y: images (n, C, H, W) float in [0, 1] and labels (n,) int, as tensors or arrays
    attack: the name of one of this project (docs/reference/attacks.md); the path of a class of Foolbox, torchattacks
        or ART or of a function of adv-lib, `"foolbox.attacks.DDNAttack"`; or a function of your own
        (docs/how-to/foreign-attacks.md), itself or as "module:function"
    norm: "l2", "linf" or "l0"
    seed, index: of the random numbers, which depend as well on the name of the attack, on the norm and on the
        position of each image in the test split, index (n,); 0, 1, … without
    starts: adversarials (n, C, H, W) known already, the clean image where there is none; asking for them counts
    options: what an entry of a config's `attacks` may say (`steps=50`, `batch_size=20`, `arguments={…}`); `kind`
        names the attack where `attack` is another name; `epsilon` for attacks within a fixed ε; `substitute`, a
        differentiable model, for transfer attacks

    The numbers are those of a run with these options whose shard holds the images, with as many threads, on the same
    kind of device. Raises InputError, in one line, for anything that cannot be attacked so.
    """
    check_norm(norm, "norm")
    with subject(model, x, y) as found, evaluating(options.get("substitute")):
        began = time.monotonic()
        name, step = _step(found, attack, norm, options)
        known = [] if starts is None else [_starts(starts, found)]
        samples = Samples(found.x, found.y, _index(index, found), known)
        settings = AttackSettings(step.attack, name, norm, seed, step.batch_size)
        columns = attack_images(settings, found.model, samples)
        seconds = time.monotonic() - began
    return _result(
        name, norm, {column: values.to(found.device) for column, values in columns.items()}, seconds
    )


def _result(name: str, norm: str, placed: Mapping[str, Tensor], seconds: float) -> Result:
    """The columns of `attack_images` as a result."""
    return Result(
        attack=name,
        norm=norm,
        adversarial=placed["adversarial"],
        distance=placed["distance"],
        success=placed["distance"].isfinite(),
        label=placed["label"],
        clean_prediction=placed["clean_prediction"],
        prediction=placed["adversarial_prediction"],
        queries=placed["queries"],
        gradients=placed["gradients"],
        seconds=seconds,
    )


def _step(found: Subject, attack: Any, norm: str, options: Mapping[str, Any]) -> tuple[str, Step]:
    """The name of an attack, and the attack built for the model and norm."""
    entry = dict(options)
    substitute, epsilon = entry.pop("substitute", None), None
    name = _named(attack, entry)
    if ATTACKS.get(entry.get("kind", name)) and ATTACKS[entry.get("kind", name)].at_epsilons:
        epsilon = entry.pop("epsilon", None)
        if epsilon is None:
            raise InputError(f"{name}: epsilon is missing, the largest distance in {norm} that counts")
    if outside_kind(entry) is not None:
        entry.setdefault("norms", [norm])
    plan = plan_at_hand({name: entry}, [norm], found.entry, {norm: epsilon} if epsilon is not None else None)
    _check_applies(plan, name, norm)
    needs = {"substitute": _substitute(name, substitute)} if plan.attacks[name].substitute else {}
    if substitute is not None and not needs:
        raise InputError(f"{name}: takes no substitute")
    if callable(attack):
        built = called_attack(attack, norm, **{**plan.options(name, MODEL), "function_path": name})
        return name, Step(name, built, plan.config["attacks"][name]["batch_size"], [], None)
    return name, step_of(plan, name, MODEL, norm, needs)


def _named(attack: Any, entry: dict[str, Any]) -> str:
    """The name of an attack; into its entry goes what it is, unless the entry says so or it has its own name."""
    if callable(attack):
        path = f"{attack.__module__}:{getattr(attack, '__name__', type(attack).__name__)}"
        entry["function"] = path
        return _own_name(path.rpartition(":")[2])
    path = str(attack)
    if not {"class", "function", "kind"} & entry.keys() and re.search(r"[.:]", path):
        function = path.startswith("adv_lib") or (
            path.replace(":", ".").partition(".")[0] not in (*LIBRARIES, "foolbox")
            and not isinstance(resolve(path), type)
        )
        entry["function" if function else "class"] = path
        return _own_name(path)
    return path


def _own_name(path: str) -> str:
    """A name that a config may give an attack by its path, other than those of this project's attacks."""
    name = re.sub(r"\W+", "_", path).strip("_") or "own"
    return f"own_{name}" if name in ATTACKS else name


def _check_applies(plan: Plan, name: str, norm: str) -> None:
    """Raise InputError unless an attack minimises the norm and the model offers what it needs."""
    entry = plan.attacks[name]
    if norm not in entry.norms:
        raise InputError(f"{name}: norm {norm!r}; it minimises {', '.join(entry.norms)}")
    lack = plan.models[MODEL].lacks(entry)
    if lack:
        raise InputError(
            f"{name}: needs a model with {lack.replace('_', ' ')}, which this one does not offer"
        )


def _substitute(name: str, substitute: Any) -> nn.Module:
    if not isinstance(substitute, nn.Module):
        raise InputError(
            f"{name}: substitute is missing, a differentiable torch.nn.Module on which it is computed"
        )
    return substitute


def _index(index: Sequence[int] | None, found: Subject) -> Tensor:
    positions = torch.arange(len(found.x)) if index is None else torch.as_tensor(index)
    if tuple(positions.shape) != (len(found.x),) or positions.is_floating_point():
        raise InputError(f"index: expected {len(found.x)} integers, one for each image")
    return positions.to(found.x.device, torch.int64)


def _starts(starts: Array, found: Subject) -> Tensor:
    known = torch.as_tensor(starts).to(found.x.device, torch.float32)
    if known.shape != found.x.shape:
        raise InputError(
            f"starts: have shape {tuple(known.shape)}, expected {tuple(found.x.shape)}, that of x"
        )
    check_images(known, None)
    return known
