"""How robust is an image classifier? Attacks bound its adversarial perturbations from above, lower bounds from below.

The workflow at the root of the repository runs whole evaluations. In Python, attack and evaluate a model at hand:

```python
import absynth

result = absynth.attack(model, x, y, "ddn", norm="l2")  # images x (n, c, h, w) in [0, 1], labels y (n,)
table = absynth.evaluate(model, x, y, preset="quick")  # the smallest distance of each image
```

and read a run of the workflow:

```python
run = absynth.open_run("results/my-run")
run.table("robustness")  # a pandas frame
minima = run.minima("mine", "l2")  # clean and adversarial images, distances
model = run.load_model("mine")  # images (n, c, h, w) in [0, 1] to logits (n, K)
```

or load one of the models that ship: `absynth.load_model("resources/weights/mnist-small", "abs")`.

Importing `absynth` imports nothing else; the first use of a name does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from absynth.api.attack import Result, attack
    from absynth.api.evaluate import evaluate
    from absynth.api.minima import Bounds, Minima
    from absynth.api.run import Run, open_run
    from absynth.errors import InputError
    from absynth.models.loading import load_model

__version__ = "0.1.0"
__all__ = [
    "Bounds",
    "InputError",
    "Minima",
    "Result",
    "Run",
    "attack",
    "evaluate",
    "load_model",
    "open_run",
]

_DEFINED_IN = {
    "Bounds": "absynth.api.minima",
    "InputError": "absynth.errors",
    "Minima": "absynth.api.minima",
    "Result": "absynth.api.attack",
    "Run": "absynth.api.run",
    "attack": "absynth.api.attack",
    "evaluate": "absynth.api.evaluate",
    "load_model": "absynth.models.loading",
    "open_run": "absynth.api.run",
}


def __getattr__(name: str) -> Any:
    # Most jobs of a run need only a part of the library.
    if name in _DEFINED_IN:
        return getattr(import_module(_DEFINED_IN[name]), name)
    raise AttributeError(f"module 'absynth' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
