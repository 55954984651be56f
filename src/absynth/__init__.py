"""Robustness of image classifiers, bracketed by attacks from above and certificates from below."""

__version__ = "0.1.0"


def __getattr__(name: str):
    # Importing absynth stays free of torch: most jobs of a run need only a part of the library.
    if name == "load_model":
        from absynth.models.loading import load_model

        return load_model
    raise AttributeError(f"module 'absynth' has no attribute {name!r}")
