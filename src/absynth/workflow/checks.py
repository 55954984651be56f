"""What a config must fulfil besides its schema. All here raise InputError with the key and what is allowed."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from absynth.attacks.outside import BUILDERS, named_path, outside_kind
from absynth.attacks.registry import ATTACKS, AttackEntry
from absynth.data.own_headers import known_images
from absynth.data.places import DOWNLOADS, images_held
from absynth.data.sources import find_dataset
from absynth.errors import InputError
from absynth.norms import NORMS
from absynth.workflow.config import check, check_entry, check_known, check_plain
from absynth.workflow.matrix import Matrix, kind_of
from absynth.workflow.paths import settle_paths

_BOUNDS = (
    "Median lower bound (proved)",
    "Median lower bound (searched)",
    "Median gap",
)  # rows of Table 1 beside those of attacks

# Keys of an attack's entry that are not keyword arguments of its builder.
NOT_OPTIONS = ("kind", "models", "norms", "batch_size", "label", "start_from", "per_model", "gradients")


def check_models(config: Mapping[str, Any], schemas: Mapping[str, Any]) -> None:
    """Check the entries of `models`, and `substitute`, by the schema of each one's kind; fill in their defaults."""
    for name, entry in config["models"].items():
        if name == "substitute":
            raise InputError(
                "config key models.substitute: the substitute is never attacked; name yours otherwise"
            )
        if entry is None:
            check_known(name, schemas, f"models.{name}")
            continue
        check(entry, {"type": "object", "properties": {"kind": {"type": "string"}}}, f"models.{name}")
        kind = kind_of(name, entry)
        kinds = [known for known in schemas if known != "substitute"]
        if kind != name and kind not in kinds:
            raise InputError(f"config key models.{name}.kind: found {kind}, allowed are {', '.join(kinds)}")
        _check_written(entry, f"models.{name}")
        check_entry(kind, entry, schemas, f"models.{name}")
        if kind == "custom":
            _check_source(entry, f"models.{name}")
        _check_prototypes(name, entry)
    if all(entry is None for entry in config["models"].values()):
        raise InputError("config key models: none is left to attack; name at least one")
    check(config["substitute"], schemas["substitute"], "substitute")


def _check_source(entry: Mapping[str, Any], key: str) -> None:
    """Refuse an entry of a user's own model that names no network, or two, and keys that the other one has."""
    if "program" not in entry:
        if "class" not in entry:
            raise InputError(f"config key {key}: class or program is missing, which says what the network is")
        if "state_dict_key" in entry and "weights" not in entry:
            raise InputError(f"config key {key}.state_dict_key: found without weights, of which it is a part")
        return
    for other in ("class", "weights", "state_dict_key"):
        if other in entry:
            raise InputError(
                f"config key {key}: found program and {other}; allowed are a program alone, which has its weights, "
                "or a class and weights"
            )
    if entry["arguments"]:
        raise InputError(f"config key {key}.arguments: found {entry['arguments']}, but a program takes none")


def _check_prototypes(name: str, entry: Mapping[str, Any]) -> None:
    """Refuse an entry of a prototype model that asks for no prototype."""
    if entry.get("prior_samples") == entry.get("encoded_images") == 0:
        raise InputError(
            f"config key models.{name}: prior_samples and encoded_images are both 0, allowed is at most one of them"
        )


def check_attacks(matrix: Matrix, schemas: Mapping[str, Any]) -> None:
    """Check the entries of `attacks` by their schemas and against the models; fill in their defaults."""
    entries = matrix.config["attacks"]
    for name, entry in entries.items():
        _check_attack(name, entry, schemas)
    for name, attack in matrix.attacks.items():  # built from entries that are all checked by now
        _check_selection(matrix, entries[name], attack, f"attacks.{name}")
    for name in matrix.attacks:
        _check_starts(matrix, name)
    _check_cycles({name: entries[name]["start_from"] for name in matrix.attacks})


def check_labels(matrix: Matrix) -> None:
    """Refuse models that tables and figures could not tell apart, and attacks in one norm likewise."""
    models = {name: model.label for name, model in matrix.models.items()}
    _check_distinct("models", models, ["norm", "attack"])
    for norm in matrix.norms:
        all_rows = [f"All {NORMS[norm].title} attacks{end}" for end in ("", " of the paper")]
        titles = {name: entry.norms[norm] for name, entry in matrix.attacks.items() if norm in entry.norms}
        _check_distinct("attacks", titles, ["all", "paper", "Clean", *all_rows, *_BOUNDS])


def _check_distinct(key: str, labels: Mapping[str, str], taken: Iterable[str]) -> None:
    """Refuse an entry of a config key whose name or label the tables use themselves, or another entry has.

    Takes labels by name, and what else stands in their column of a table, or in their row
    """
    known = {_spelt(word): f"the tables' own {word!r}" for word in taken}
    for name in labels:
        if _spelt(name) in known:
            raise InputError(
                f"config key {key}.{name}: is the name of {known[_spelt(name)]}; name yours otherwise"
            )
        known[_spelt(name)] = f"{key}.{name}"
    for name, label in labels.items():
        other = known.setdefault(_spelt(label), f"{key}.{name}")
        if other != f"{key}.{name}":
            raise InputError(
                f"config key {key}.{name}.label: {label!r} stands for {other} already, and tables would mix the two "
                "up; allowed is a label that no other has as its label or name"
            )


def _spelt(label: str) -> str:
    """A label without what a reader overlooks: case, and the kind and number of blanks."""
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _check_written(entry: Mapping[str, Any], key: str) -> None:
    """Refuse draws without `random`, and arguments that are not plain; before defaults are filled in."""
    if "draws" in entry and entry.get("random", False) is False:
        raise InputError(
            f"config key {key}.draws: found {entry['draws']!r}, allowed only for a model that draws random numbers; "
            "write random: true as well, or leave draws out"
        )
    if isinstance(entry.get("arguments"), Mapping):
        check_plain(entry["arguments"], f"{key}.arguments")


def check_sizes(config: Mapping[str, Any]) -> None:
    """Refuse more images than the data set has."""
    n = config["n_samples"]
    dataset = find_dataset(config["dataset"], config["datasets"].get(config["dataset"]))
    n_test = dataset.n_test
    if n_test is None:
        n_test = images_held(dataset, config["data_dir"], DOWNLOADS)
    if n_test is None:
        n_test, _ = known_images(dataset)
    if n_test is not None and n > n_test:
        raise InputError(
            f"config key n_samples: found {n}, allowed are the {n_test} test images of {dataset.name}"
        )


def check_weights(config: dict[str, Any]) -> None:
    """Refuse a run that would take its own weights, and paths that cannot be used; expand the others, in place."""
    settle_paths(config)
    own = Path("results", config["run"], "models").resolve()
    entries = {f"models.{name}.": entry for name, entry in config["models"].items() if entry}
    for place, entry in {"": config, **entries}.items():
        trained = entry.get("trained_weights")
        if trained and Path(trained).resolve() == own:
            key = f"config key {place}trained_weights"
            raise InputError(f"{key}: found {trained}, allowed is that of another run")


def _check_attack(name: str, entry: dict[str, Any] | None, schemas: Mapping[str, Any]) -> None:
    """Check one entry by itself: an attack of the registry, by its name or kind, or any by its class or function."""
    known = {name: schema for name, schema in schemas.items() if name not in BUILDERS}
    key = f"attacks.{name}"
    if entry is None:
        check_known(name, known, key)
        return
    outside = outside_kind(entry) if isinstance(entry, Mapping) else None
    if outside is not None:
        _check_outside(name, entry, outside, schemas)
        kind = outside
    else:
        kind = _attack_kind(name, entry, known)
        check_entry(kind, entry, known, key)
    _check_per_model(entry, schemas[kind], key)


def _attack_kind(name: str, entry: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The attack of the registry that an entry asks for."""
    check(entry, {"type": "object", "properties": {"kind": {"type": "string"}}}, f"attacks.{name}")
    kind = entry.get("kind", name)
    if kind != name and name in known:
        raise InputError(
            f"config key attacks.{name}.kind: {name} is an attack of this project; name yours otherwise"
        )
    if kind != name:
        check_known(kind, known, f"attacks.{name}.kind")
    return kind


def _check_per_model(entry: Mapping[str, Any], schema: Mapping[str, Any], key: str) -> None:
    """Refuse what an attack's schema does not allow among a model's own options, and all that is no option."""
    fixed = {*NOT_OPTIONS, "class", "function"}
    properties = {name: part for name, part in schema["properties"].items() if name not in fixed}
    options = {"type": ["object", "null"], "additionalProperties": False, "properties": properties}
    for model, own in entry["per_model"].items():
        check(deepcopy(own), options, f"{key}.per_model.{model}")  # a copy, for the defaults are the entry's
        if own and (outside := outside_kind(entry)) is not None:
            check_plain(own.get("arguments"), f"{key}.per_model.{model}.arguments")
            _check_built(entry | own, outside, f"{key}.per_model.{model}")


def _check_outside(name: str, entry: dict[str, Any], kind: str, schemas: Mapping[str, Any]) -> None:
    """Check an entry that names an attack by its class or function; fill in its defaults."""
    key = f"attacks.{name}"
    named = "class" if "class" in entry else "function"
    if name in schemas and name not in BUILDERS:
        raise InputError(
            f"config key {key}.{named}: {name} is an attack of this project; name yours otherwise"
        )
    for other in ("kind", "function"):
        if other in entry and other != named:
            raise InputError(f"config key {key}: found {named} and {other}, allowed is one of them")
    check(entry, schemas[kind], key)
    check_plain(entry["arguments"], f"{key}.arguments")
    _check_built(entry, kind, key)


def _check_built(entry: Mapping[str, Any], kind: str, key: str) -> None:
    """Let the library itself say whether an attack and its arguments are sound; imported only where a config asks."""
    for norm in entry["norms"]:
        try:
            if kind == "foolbox":
                from absynth.attacks.foolbox.bridge import check_foolbox

                check_foolbox(entry["class"], entry["arguments"], norm)
            elif kind == "library":
                from absynth.attacks.foreign.build import check_library

                check_library(str(named_path(entry)), entry["arguments"], entry["relative"], norm)
        except InputError as error:
            raise InputError(f"config key {key}: {error}") from None


def _check_selection(matrix: Matrix, entry: Mapping[str, Any], attack: AttackEntry, key: str) -> None:
    """Refuse norms and models that an entry names but the attack cannot take; models set to null it may name."""
    for norm in entry.get("norms", []):
        if norm not in attack.norms:
            raise InputError(f"config key {key}.norms: found {norm}, allowed are {', '.join(attack.norms)}")
    lacks = {name: model.lacks(attack) for name, model in matrix.models.items()}
    able = [name for name, lack in lacks.items() if lack is None]
    left_out = [name for name, model in matrix.config["models"].items() if model is None]
    for choice in ("models", "per_model"):
        for model in entry.get(choice, []):
            if model not in [*able, *left_out]:
                reason = f", which has no {lacks[model]}".replace("_", " ") if model in lacks else ""
                raise InputError(
                    f"config key {key}.{choice}: found {model}{reason}; "
                    f"allowed are {', '.join(able) or 'none'}"
                )


def check_applies(matrix: Matrix) -> None:
    """Refuse a run whose attacks all apply to none of its models in none of its norms."""
    if not matrix.attacks or any(
        matrix.applies(attack, model, norm)
        for attack in matrix.attacks
        for model in matrix.models
        for norm in matrix.norms
    ):
        return
    name, attack = next(iter(matrix.attacks.items()))
    norms = [norm for norm in matrix.norms if norm in attack.norms]
    lacks = {model: lack for model, planned in matrix.models.items() if (lack := planned.lacks(attack))}
    if not norms:
        why = f"{name} attacks in {', '.join(attack.norms)}"
    elif lacks:
        model, lack = next(iter(lacks.items()))
        why = f"{name} needs {lack}, which {model} lacks".replace("_", " ")
    else:
        why = f"{name} is kept to other models and norms"
    raise InputError(
        f"config key attacks: none of {', '.join(matrix.attacks)} applies to {', '.join(matrix.models)} in "
        f"{', '.join(matrix.norms)} ({why}); name other attacks, models or norms"
    )


def _check_starts(matrix: Matrix, name: str) -> None:
    """Refuse starts that the attack cannot take, or that no other attack of the run provides."""
    chosen, key = matrix.config["attacks"][name]["start_from"], f"config key attacks.{name}.start_from"
    if chosen and not matrix.attacks[name].takes_start:
        able = ", ".join(other for other, entry in ATTACKS.items() if entry.takes_start)
        raise InputError(f"{key}: found {', '.join(chosen)}, but {name} takes no start; allowed with {able}")
    for start in chosen:
        if start not in matrix.attacks:
            others = ", ".join(other for other in matrix.attacks if other != name)
            raise InputError(f"{key}: found {start}, no attack of this run; allowed are {others}")
        if name in matrix.relay_rounds or name in matrix.preset_starts:  # from whatever there is in each norm
            continue
        cases = [(model, norm) for model in matrix.models for norm in matrix.norms]
        if not any(matrix.applies(name, *case) and matrix.applies(start, *case) for case in cases):
            raise InputError(f"{key}: found {start}, which shares no model and norm with {name}")


def _check_cycles(starts: Mapping[str, Sequence[str]]) -> None:
    """Refuse attacks that start, through others or directly, from themselves."""
    try:
        TopologicalSorter(starts).prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]  # each attack starts from the next
        raise InputError(
            f"config key attacks.{cycle[0]}.start_from: {' starts from '.join(cycle)}; leave one of them out"
        ) from None
