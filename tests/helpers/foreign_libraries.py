"""Stand-ins of torchattacks, adv-lib and ART: small, with the parameters and the habits of the real ones."""

import numpy as np
import torch
from torch.nn import functional

CALLS: list[dict] = []  # the arguments of each attack that was made or called


class TorchAttack:
    """torchattacks' base: takes the device from the first parameter, and prints."""

    def __init__(self, model, **options):
        self.model, self.device = model, next(model.parameters()).device
        print("Attack mode is changed to 'default.'")
        CALLS.append(options)
        self.options = options

    def __call__(self, images, labels):
        return self.forward(images.to(self.device), labels)


class PGDL2(TorchAttack):
    """Steps of length alpha along the gradient, within eps."""

    def __init__(self, model, eps=1.0, alpha=0.2, steps=10, random_start=True):
        super().__init__(model, eps=eps, alpha=alpha, steps=steps)

    def forward(self, images, labels):
        x = images.clone()
        for _ in range(self.options["steps"]):
            x = x.detach().requires_grad_()
            loss = functional.cross_entropy(self.model(x), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            step = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            delta = x.detach() + self.options["alpha"] * step - images
            length = delta.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            x = (images + delta * (self.options["eps"] / length).clamp(max=1)).clamp(0, 1)
        return x


class APGDT(TorchAttack):
    """Asks for the images that are left alone, each twice; wants to know the number of classes."""

    def __init__(self, model, norm="Linf", eps=8 / 255, steps=10, seed=0, n_classes=10):
        super().__init__(model, norm=norm, eps=eps, seed=seed, n_classes=n_classes)

    def forward(self, images, labels):
        left = images[labels == labels[0]]
        self.model(torch.cat([1 - left, 1 - left]))
        return images


class DeepFool(TorchAttack):
    """Stops just short of the boundary of a linear model, as the real one does where it clips."""

    def __init__(self, model, steps=50, overshoot=0.02):
        super().__init__(model, steps=steps)

    def forward(self, images, labels):
        x = images.clone().requires_grad_()
        logits = self.model(x)
        two = logits.topk(2).values
        gap = (two[:, 0] - two[:, 1]).sum()
        (gradient,) = torch.autograd.grad(gap, x)
        square = gradient.flatten(1).square().sum(dim=1).view(-1, 1, 1, 1)
        return (x - 0.9995 * (gap / square) * gradient).detach()


class CW(TorchAttack):
    """Records the images that it is handed."""

    def __init__(self, model, c=1, steps=50):
        super().__init__(model, c=c)

    def forward(self, images, labels):
        self.model(images)
        CALLS[-1]["images"] = images
        return images


class VANILA(TorchAttack):
    """Returns what it is given."""


class Bypass(TorchAttack):
    """Never asks the model."""

    def __init__(self, model, eps=1.0):
        super().__init__(model, eps=eps)

    def forward(self, images, labels):
        return 1 - images


def ddn(model, inputs, labels, targeted=False, steps=100, levels=256, callback=None):
    """adv-lib's way: model, inputs, labels; one step across the boundary of a linear model."""
    CALLS.append({"targeted": targeted, "steps": steps, "levels": levels})
    x = inputs.clone().requires_grad_()
    two = model(x).topk(2).values
    gap = two[:, 0] - two[:, 1]
    (gradient,) = torch.autograd.grad(gap.sum(), x)
    square = gradient.flatten(1).square().sum(dim=1)
    model((x - 1.001 * (gap / square).view(-1, 1, 1, 1) * gradient).detach())
    return torch.full_like(inputs, torch.nan)  # what was asked counts


def fmn(model, inputs, labels, norm, targeted=False, steps=10):
    """Records the norm that it is given."""
    CALLS.append({"norm": norm})
    return model(inputs) is not None and inputs


class PyTorchClassifier:
    """ART's estimator: NumPy in, NumPy out."""

    def __init__(self, model, loss, input_shape, nb_classes, clip_values, device_type):
        CALLS.append({"shape": input_shape, "classes": nb_classes, "clip": clip_values})
        self.model = model

    def predict(self, x):
        with torch.no_grad():
            return self.model(torch.from_numpy(x)).numpy()


class HopSkipJump:
    """Asks in float64, as ART's decision attacks do under NumPy 2; targeted unless told otherwise."""

    def __init__(self, classifier, batch_size=64, targeted=True, norm=2, max_iter=50, verbose=True):
        CALLS.append({"targeted": targeted, "norm": norm, "batch_size": batch_size, "verbose": verbose})
        self.classifier, self.targeted = classifier, targeted

    def generate(self, x, y=None):
        assert isinstance(x, np.ndarray)
        if self.targeted:
            return x
        self.classifier.predict(1 - x.astype(np.float64))
        return 1 - x


# What the modules of the three libraries hold.
MODULES: dict[str, list] = {
    "torchattacks": [PGDL2, APGDT, CW, DeepFool, VANILA],
    "adv_lib": [],
    "adv_lib.attacks": [ddn, fmn],
    "art": [],
    "art.attacks": [],
    "art.attacks.evasion": [HopSkipJump],
    "art.estimators": [],
    "art.estimators.classification": [PyTorchClassifier],
}
