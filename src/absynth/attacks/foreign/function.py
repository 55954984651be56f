"""An attack that is a function in a user's own module, named in the config."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from absynth.attacks.foreign.attack import ForeignAttack, Search
from absynth.attacks.foreign.view import ForeignView
from absynth.attacks.outside import FUNCTION_PARAMETERS as PARAMETERS
from absynth.errors import InputError
from absynth.io.modules import split_named
from absynth.models.building import resolve
from absynth.models.making import shown_error
from absynth.models.user_code import imported, settings_kept


def function_attack(
    norm: str,
    *,
    function_path: str,
    arguments: Mapping[str, Any] | None = None,
    fixed_epsilon: bool = False,
    **search: int,
) -> ForeignAttack:
    """A user's function (model, x, y, epsilon, norm, generator, **arguments) as an attack.

    model: a module from any number of images (q, C, H, W) to the model's own logits (q, K), as `ForeignView`;
        every image asked for counts, and not only those returned
    x, y: images (m, C, H, W) float32 in [0, 1] that the model classifies correctly, and labels (m,) int64; copies
    epsilon: None, or with `fixed_epsilon` the largest distance in the norm at which an adversarial is wanted, a
        float; the function is then called many times, for the smallest at which it succeeds for each image
    norm: "l2", "linf" or "l0"
    generator: torch's, on the CPU, seeded by the run's seed and the first image. The global generators are seeded as
        well, and restored.
    It returns images like x, the best that it found: pixels outside of [0, 1] are clipped, with a warning.

    function_path: "module:function"; search: fields of `Search`

    Raises InputError if the function cannot be imported, or does not take these arguments. Calling the attack raises
    InputError if the function fails, asks the model nothing, asks for or returns NaN, or returns anything but a
    floating tensor of x's shape. What its code sets for the whole process is put back (`settings_kept`).
    """
    function = _imported(function_path)
    return called_attack(
        function,
        norm,
        function_path=function_path,
        arguments=arguments,
        fixed_epsilon=fixed_epsilon,
        **search,
    )


def called_attack(
    function: Callable[..., Any],
    norm: str,
    *,
    function_path: str,
    arguments: Mapping[str, Any] | None = None,
    fixed_epsilon: bool = False,
    **search: int,
) -> ForeignAttack:
    """A function at hand as an attack, as `function_attack`; function_path: what messages call it."""
    arguments = dict(arguments or {})
    _check_signature(function, function_path, arguments)

    def call(view: ForeignView, x: Tensor, y: Tensor, epsilon: float | None) -> object:
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        with settings_kept(function_path, "as it runs"):
            try:
                return function(view, x, y, epsilon, norm, generator, **arguments)
            except (InputError, KeyboardInterrupt, torch.OutOfMemoryError):
                raise
            except BaseException as error:  # whatever a user's own code raises, SystemExit included
                raise InputError(f"{function_path}: fails ({shown_error(error)})") from error

    return ForeignAttack(function_path, call, fixed_epsilon, own=True, search=Search(**search))


def _imported(path: str) -> Any:
    """What is at "module:function"."""
    with settings_kept(path):
        return imported(split_named(path)[0], lambda: resolve(path))


def _check_signature(function: Any, path: str, arguments: Mapping[str, Any]) -> None:
    """Raise InputError, naming the path, unless a function takes PARAMETERS and these arguments."""
    if not callable(function) or inspect.isclass(function):
        raise InputError(
            f"{path}: is {'a class' if inspect.isclass(function) else 'no function'}, "
            f"expected a function ({', '.join(PARAMETERS)})"
        )
    try:
        inspect.signature(function).bind(*PARAMETERS, **arguments)
    except TypeError as error:
        taken = ", ".join(inspect.signature(function).parameters)
        given = f" and the arguments {', '.join(arguments)}" if arguments else ""
        raise InputError(
            f"{path}: takes ({taken}), expected ({', '.join(PARAMETERS)}){given}; {error}"
        ) from None
