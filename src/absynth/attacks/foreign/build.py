"""Builders of attacks that a config names by another library's class or function, or by a function of its own."""

from collections.abc import Callable, Mapping
from typing import Any

from absynth.attacks.foreign import adv_lib, art, torchattacks
from absynth.attacks.foreign.attack import Call, ForeignAttack, Search
from absynth.attacks.foreign.library import Arguments, Catalogue, Known
from absynth.errors import InputError

_Adapted = Callable[[Any, Known, Arguments], Call]
ADAPTERS: dict[str, tuple[Catalogue, _Adapted]] = {
    module.CATALOGUE.package: (module.CATALOGUE, module.adapted) for module in (torchattacks, adv_lib, art)
}


def library_attack(
    norm: str,
    *,
    class_path: str | None = None,
    function_path: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    relative: Mapping[str, float] | None = None,
    **search: int,
) -> ForeignAttack:
    """An attack of torchattacks or ART by its class, or of adv-lib by its function.

    class_path: e.g. "torchattacks.PGDL2"; function_path: e.g. "adv_lib.attacks.ddn"
    arguments: of its constructor, or of the function; relative: such as are lengths, as multiples of ε. A step size
        that stands in neither has the ratio to ε that it has in the library's defaults.
    search: fields of `Search`

    Raises InputError as `Catalogue.find` and `Catalogue.arguments`.
    """
    path = str(class_path or function_path)
    catalogue, adapted = _adapter(path)
    found, known = catalogue.find(path, norm)
    settled = catalogue.arguments(path, norm, arguments or {}, relative or {})
    return ForeignAttack(
        path,
        adapted(found, known, settled),
        known.epsilon is not None,
        one_by_one=known.one_by_one,
        push=known.push,
        inset=known.inset,
        shifted=known.shifted,
        search=Search(**search),
    )


def check_library(path: str, arguments: Mapping[str, Any], relative: Mapping[str, float], norm: str) -> None:
    """Raise InputError, as `library_attack`, for an attack that cannot be built."""
    _adapter(path)[0].arguments(path, norm, arguments, relative)


def _adapter(path: str) -> tuple[Catalogue, _Adapted]:
    package = path.replace(":", ".").split(".")[0]
    if package not in ADAPTERS:
        raise InputError(f"{path}: there are adapters of {', '.join(ADAPTERS)} only")
    return ADAPTERS[package]
