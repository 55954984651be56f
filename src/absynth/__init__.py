"""How robust is an image classifier? Attacks bound its adversarial perturbations from above, lower bounds from below.

The workflow at the root of the repository runs the evaluation. In Python, load a model of a finished run, or one of
the models that ship:

```python
from absynth import load_model

model = load_model("resources/weights/mnist-small", "abs")
logits = model(images)  # images (n, c, h, w) in [0, 1], logits (n, K)
```

Importing `absynth` does not import torch; the first use of `load_model` does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from absynth.models.loading import load_model

__version__ = "0.1.0"
__all__ = ["load_model"]

_DEFINED_IN = {"load_model": "absynth.models.loading"}


def __getattr__(name: str) -> Any:
    # Most jobs of a run need only a part of the library.
    if name in _DEFINED_IN:
        return getattr(import_module(_DEFINED_IN[name]), name)
    raise AttributeError(f"module 'absynth' has no attribute {name!r}")
