"""Classifiers as users bring them: sound ones, and each with one fault."""

import random

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class Plain(nn.Module):
    """Logits that are linear in the pixels, and what subclasses do to pixels and logits.

    Class c looks at the pixels c, c + 10, c + 20, …, with which `drawn` images are made.
    """

    def __init__(self):
        super().__init__()
        owner = torch.arange(784) % 10
        self.weight = nn.Parameter(functional.one_hot(owner, 10).T.float() / 10)

    def prepare(self, x: Tensor) -> Tensor:
        return x

    def finish(self, logits: Tensor, x: Tensor) -> Tensor:
        return logits

    def forward(self, x: Tensor) -> Tensor:
        x = self.prepare(x)
        return self.finish(x.flatten(1) @ self.weight.T, x)


def drawn(n: int = 30) -> tuple[Tensor, Tensor]:
    """Images (n, 1, 28, 28) that `Plain` classifies correctly, and their labels."""
    labels = torch.arange(n) % 10
    noise = torch.rand(n, 784, generator=torch.Generator().manual_seed(1))
    own = functional.one_hot(torch.arange(784) % 10, 10).T[labels]
    return (0.4 * noise + 0.3 * own).view(n, 1, 28, 28), labels


# Models that change what they are handed, and the same without.


class BinarisesInPlace(Plain):
    def prepare(self, x):
        x[x < 0.5] = 0
        return x


class Binarises(Plain):
    def prepare(self, x):
        return torch.where(x < 0.5, 0, x)


class MasksInPlace(Plain):
    def prepare(self, x):
        x[:, :, :4] = 0
        return x


class Masks(Plain):
    def prepare(self, x):
        mask = torch.ones(28, 1)
        mask[:4] = 0
        return x * mask


class NormalisesInPlace(Plain):
    def prepare(self, x):
        return x.sub_(0.1).div_(0.5)


class Normalises(Plain):
    def prepare(self, x):
        return (x - 0.1) / 0.5


class SortsInPlace(Plain):
    def prepare(self, x):
        return x.copy_(x.clone().sort(dim=3).values)


class Sorts(Plain):
    def prepare(self, x):
        return x.sort(dim=3).values


IN_PLACE = [
    (BinarisesInPlace, Binarises),
    (MasksInPlace, Masks),
    (NormalisesInPlace, Normalises),
    (SortsInPlace, Sorts),
]


# Models whose answers are not finite for some images, which ones being known to the test.


def bright(x: Tensor) -> Tensor:
    """Where (n, 1) an image is changed so much that the models below no longer answer in numbers."""
    return (x.flatten(1)[:, :10].mean(dim=1, keepdim=True) > 0.75).detach()


class NaNWhenBright(Plain):
    def finish(self, logits, x):
        return torch.where(bright(x), torch.nan, logits)


class MinusInfWhenBright(Plain):
    def finish(self, logits, x):
        first = torch.arange(10) == 0
        return torch.where(bright(x) & first, -torch.inf, logits)


class InfWhenBright(Plain):
    def finish(self, logits, x):
        return torch.where(bright(x) & (torch.arange(10) == 3), torch.inf, logits)


class LogOfProbabilities(Plain):
    """The log of probabilities that are cut off at 0."""

    def finish(self, logits, x):
        return (logits.softmax(dim=1) - 0.05).clamp_min(0).log()


class DividesByDeviation(Plain):
    def prepare(self, x):
        return x / x.flatten(1).std(dim=1).view(-1, 1, 1, 1)


NONFINITE = [NaNWhenBright, MinusInfWhenBright, InfWhenBright]


class NaNGradient(Plain):
    """Finite answers, but the gradient of the square root at 0 times 0."""

    def finish(self, logits, x):
        return logits + 0 * (x.flatten(1).sum(dim=1, keepdim=True) * 0).sqrt()


class InfGradient(Plain):
    def finish(self, logits, x):
        return logits + (x.flatten(1)[:, :1] * 0).abs().pow(0.5).nan_to_num()


class NaNGradientOfBlack(Plain):
    """As `x / ‖x‖` by hand: no gradient at the black image."""

    def finish(self, logits, x):
        return logits + x.flatten(1).square().sum(dim=1, keepdim=True).sqrt()


NONFINITE_GRADIENTS = [NaNGradient, InfGradient, NaNGradientOfBlack]


# Models that answer with something other than logits (n, 10).


class Returns(Plain):
    """What `of` makes of the logits."""

    of = staticmethod(lambda logits: logits)

    def finish(self, logits, x):
        return type(self).of(logits)


def returning(change) -> type[Returns]:
    return type("Returning", (Returns,), {"of": staticmethod(change)})


WRONG_ANSWERS = {
    "tuple": (lambda z: (z, z), r"returns a tuple, expected logits \(2, 10\) as one tensor"),
    "dict": (lambda z: {"logits": z, "loss": 0}, "returns a dict with 'logits', 'loss', expected logits"),
    "list": (lambda z: [z], "returns a list, expected logits"),
    "None": (lambda z: None, "returns a NoneType, expected logits"),
    "array": (lambda z: z.detach().numpy(), "returns a ndarray, expected logits"),
    "classes": (lambda z: z.argmax(dim=1), r"returns \(2,\), expected logits \(2, 10\)"),
    "squeezed": (lambda z: z[:1].squeeze(), r"returns \(10,\), expected logits \(2, 10\)"),
    "map": (lambda z: z[:, :, None, None], r"returns \(2, 10, 1, 1\), expected logits \(2, 10\)"),
    "11 classes": (
        lambda z: torch.cat([z, z[:, :1]], 1),
        r"returns \(2, 11\), expected logits \(2, 10\), since the data set has 10 classes; .* write n_classes: 11",
    ),
    "one logit": (
        lambda z: z[:, :1],
        r"returns \(2, 1\), .* of two classes return both, for one logit z torch\.cat",
    ),
    "9 classes": (lambda z: z[:, :9], r"returns \(2, 9\), .* has 10 classes$"),
    "transposed": (lambda z: z.T, r"returns \(10, 2\), expected logits \(2, 10\)"),
    "integers": (lambda z: z.round().long(), "returns torch.int64, expected logits .* floating dtype"),
    "booleans": (lambda z: z > 0, "returns torch.bool, expected logits .* floating dtype"),
    "complex": (
        lambda z: z.to(torch.complex64),
        "returns torch.complex64, expected logits .* floating dtype",
    ),
    "elsewhere": (lambda z: z.to("meta"), "returns logits on meta for images on cpu"),
}


# Models whose answer for an image is not one answer.


class DropsAlways(Plain):
    def prepare(self, x):
        return functional.dropout(x, 0.1)


class AddsNoise(Plain):
    def finish(self, logits, x):
        return logits + 0.01 * torch.randn_like(logits)


class DropsOnEveryOtherCall(Plain):
    """Remembers that it was asked, outside its parameters and buffers."""

    asked = 0

    def finish(self, logits, x):
        self.asked += 1
        return logits if self.asked % 2 else 0.5 * logits


class SamplesPixels(Plain):
    def prepare(self, x):
        return x * (torch.rand(1, 1, 28, 28) > 0.02)


class NumpyNoise(Plain):
    def finish(self, logits, x):
        return logits + torch.from_numpy(np.random.default_rng().normal(size=10).astype(np.float32))


class OwnGenerator(Plain):
    generator = torch.Generator()

    def finish(self, logits, x):
        return logits + torch.randn(10, generator=self.generator)


RANDOM = [DropsAlways, AddsNoise, DropsOnEveryOtherCall, SamplesPixels]


class TrainsWhenAsked(Plain):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        self.train()
        return super().forward(self.drop(x))


class TrainsItsNorm(Plain):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def prepare(self, x):
        self.norm.train()
        return self.norm(x)


class UpdatesItsBuffer(Plain):
    def __init__(self):
        super().__init__()
        self.register_buffer("asked", torch.zeros(()))

    def prepare(self, x):
        self.asked += len(x)
        return x


class BatchStatistics(Plain):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, track_running_stats=False)

    def prepare(self, x):
        return self.norm(x)


class CentresOnBatch(Plain):
    def prepare(self, x):
        return x - x.mean(dim=0, keepdim=True)


class RanksInBatch(Plain):
    def finish(self, logits, x):
        return logits - logits.amax()


OF_BATCH = [BatchStatistics, CentresOnBatch, RanksInBatch]


# Models without a usable gradient.


class Thresholds(Plain):
    def prepare(self, x):
        return (x > 0.5).float() + 0 * x


class Rounds(Plain):
    def prepare(self, x):
        return (4 * x).round() / 4


class Saturates(Plain):
    def finish(self, logits, x):
        return (1000 * logits).softmax(dim=1)


ZERO_GRADIENT = [Thresholds, Rounds, Saturates]


class Detaches(Plain):
    def prepare(self, x):
        return x.detach()


class LeavesTorch(Plain):
    def prepare(self, x):
        return torch.from_numpy(x.detach().numpy() * 1)


class AsksWithoutGradient(Plain):
    def forward(self, x):
        with torch.no_grad():
            return super().forward(x)


NO_GRADIENT = [Detaches, LeavesTorch, AsksWithoutGradient]


class TakesGradientsItself(Plain):
    """Sharpens its input by a gradient of its own, and forgets that gradients may be off."""

    def prepare(self, x):
        inner = x.detach().requires_grad_()
        energy = inner.square().sum()
        return x - 0.01 * torch.autograd.grad(energy, inner)[0]


class AnswersOtherwiseWithGradients(Plain):
    def finish(self, logits, x):
        return 2 * logits if torch.is_grad_enabled() else logits


class Fails(Plain):
    def prepare(self, x):
        raise KeyError("scale")


class FailsOnSmallBatches(Plain):
    def prepare(self, x):
        return x / x[1].amax()


# Sound models of other dtypes, or with other ideas of what an image is.


class Double(Plain):
    def __init__(self):
        super().__init__()
        self.double()


class Half(Plain):
    def __init__(self):
        super().__init__()
        self.to(torch.bfloat16)


class Compiled(Plain):
    """Has a part that torch.compile makes."""

    def __init__(self):
        super().__init__()
        self.part = torch.compile(
            nn.Sequential(nn.Linear(10, 10), nn.ELU(), nn.Linear(10, 10)), backend="aot_eager"
        )

    def finish(self, logits, x):
        return logits + 0.01 * self.part(logits)


class OtherAxes(Plain):
    def prepare(self, x):
        return x.transpose(2, 3)


class DarkOnLight(Plain):
    def prepare(self, x):
        return 1 - x


class Bytes(Plain):
    def finish(self, logits, x):
        return (x.flatten(1) - 75).sigmoid() @ self.weight.T - torch.arange(10)


class Mirrored(Plain):
    def prepare(self, x):
        return x.flip(3)


class UpsideDown(Plain):
    def prepare(self, x):
        return x.flip(2)


class Turned(Plain):
    def prepare(self, x):
        return x.rot90(1, (2, 3))


class TurnedBack(Plain):
    def prepare(self, x):
        return x.rot90(-1, (2, 3))


PREPARED = {
    Mirrored: "once they are mirrored",
    UpsideDown: "once they are turned upside down",
    Turned: "once they are turned by 90 degrees to the right",
    TurnedBack: "once they are turned by 90 degrees to the left",
    OtherAxes: "once they are with rows and columns swapped",
    DarkOnLight: "once they are inverted",
    Bytes: "once they are times 255",
}


class Unbuilt(Plain):
    def __init__(self):
        raise ValueError("no such width")


# Models that binarise, or say so.


class Threshold(Plain):
    """Counts pixels at or above its threshold as 1, and passes gradients on."""

    input_threshold: object = 0.5

    def binary(self, x):
        return x >= self.input_threshold

    def prepare(self, x):
        return self.binary(x).to(x.dtype) + (x - x.detach())


class ThresholdOfDouble(Threshold):
    input_threshold = 0.35  # above the float32 next to it is 0.35 in float64, and so are 0.1 and 0.7

    def __init__(self):
        super().__init__()
        self.double()


class SaysThresholdOnly(Plain):
    input_threshold = 0.5


class ThresholdExclusive(Threshold):
    def binary(self, x):
        return x > self.input_threshold


class ThresholdElsewhere(Threshold):
    def binary(self, x):
        return x >= 0.55


class ThresholdOfBytes(Threshold):
    input_threshold = 127

    def prepare(self, x):
        return super().prepare(255 * x)


# Models whose numbers get lost between dtypes.


class MixedDtypes(Plain):
    """Has its first parameter in bfloat16, and computes in float32."""

    def __init__(self):
        super().__init__()
        weight = self.weight
        del self.weight
        self.scale = nn.Parameter(torch.ones((), dtype=torch.bfloat16))
        self.weight = weight

    def finish(self, logits, x):
        return logits * self.scale.float()


class FarFromZero(Plain):
    """Answers in float64 with logits that float32 cannot tell apart."""

    def __init__(self):
        super().__init__()
        self.double()

    def finish(self, logits, x):
        return 1e-3 * logits - 1e6


class FarFromZeroInFloat32(Plain):
    def finish(self, logits, x):
        return logits + 1e8


class Tiny(Plain):
    def finish(self, logits, x):
        return 1e-25 * logits


class Exits(Plain):
    def prepare(self, x):
        raise SystemExit(0)


class NeverEvaluates(Plain):
    """Batch norm frozen, as it thinks; but it is in training mode for good."""

    def train(self, mode=True):
        return self


class AlwaysNaN(Plain):
    def finish(self, logits, x):
        return logits * torch.nan


class AddsNoiseInPlace(Plain):
    def prepare(self, x):
        return x.add_(0.1 * torch.randn(x.shape))


class AddsNoiseOutOfPlace(Plain):
    def prepare(self, x):
        return x.add(0.1 * torch.randn(x.shape))


class OddState(Plain):
    """Has buffers of layouts and dtypes that few operations take, and extra state."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sparse", torch.eye(3).to_sparse())
        self.register_buffer("short", torch.ones(3).to(torch.float8_e4m3fn))
        self.register_buffer("none", torch.tensor([torch.nan, 1]))
        self.register_buffer("count", torch.ones(2, dtype=torch.int64))
        self.register_buffer("complex", torch.ones(2, dtype=torch.complex64))

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


class UpdatesSparse(OddState):
    def finish(self, logits, x):
        self.sparse = 2 * self.sparse
        return logits


# Models that do something to the process, or remember, or do not do what they do for every image.


class SeedsTorch(Plain):
    """Adds noise that is always the same, and lets everyone draw the same random numbers after it."""

    def finish(self, logits, x):
        torch.manual_seed(0)
        return logits + 0.01 * torch.randn(10)


class SeedsNumpy(Plain):
    def finish(self, logits, x):
        np.random.seed(1)
        return logits + torch.from_numpy(np.random.normal(size=10) / 100).float()


class SeedsPython(Plain):
    def finish(self, logits, x):
        random.seed(1)
        return logits + random.random() / 100


class SwitchesGradientsOff(Plain):
    def finish(self, logits, x):
        torch.set_grad_enabled(False)
        return logits


class SetsDefaultDtype(Plain):
    def finish(self, logits, x):
        torch.set_default_dtype(torch.float64)
        return logits


class CachesBuffer(Plain):
    """Makes a table when it is first asked, and keeps it: sound."""

    def prepare(self, x):
        if not hasattr(self, "table"):
            self.register_buffer("table", torch.ones(x.shape[1:]))
        return x * self.table


class DropsBuffer(Plain):
    def __init__(self):
        super().__init__()
        self.register_buffer("once", torch.ones(()))

    def prepare(self, x):
        self.__dict__["_buffers"].pop("once", None)
        return x


class AdaptsToGradients(Plain):
    """Attenuates its answers whenever a gradient was taken, as some defence that adapts."""

    scale = 1.0

    def finish(self, logits, x):
        if logits.requires_grad:
            logits.register_hook(self.adapt)
        return self.scale * logits

    def adapt(self, gradient):
        self.scale *= 0.9


class RemembersTheMean(Plain):
    """Centres on a moving average of what it was asked, which stays as it is while the same images are asked."""

    mean = None

    def finish(self, logits, x):
        found = x.detach().mean()
        self.mean = found if self.mean is None else 0.5 * self.mean + 0.5 * found
        return logits * self.mean


class SmoothForGradients(Plain):
    def finish(self, logits, x):
        return logits.tanh() if x.requires_grad else logits.round(decimals=1)


class NoisyGradients(Plain):
    def finish(self, logits, x):
        if logits.requires_grad:
            logits.register_hook(lambda gradient: gradient + torch.randn_like(gradient))
        return logits


class Views(Plain):
    """Takes `view` of its input with rows and columns swapped, as it was trained."""

    def forward(self, x):
        swapped = x.view(len(x), 28, 28).transpose(1, 2)
        return swapped.flatten(1) @ self.weight.T


class ViewsOnly(Plain):
    def forward(self, x):
        return x.view(len(x), -1) @ self.weight.T


class Probabilities(Plain):
    def finish(self, logits, x):
        return logits.softmax(dim=1)


class CropsToInk(Plain):
    """Crops to what is not black, of which an image may have nothing."""

    def finish(self, logits, x):
        for image in x:
            rows = (image[0].sum(dim=1) > 0).nonzero()
            logits = logits + 0 * image[0, rows.min() : rows.max() + 1].sum()
        return logits


class FailsOnWhite(Plain):
    def prepare(self, x):
        if (x.flatten(1).amin(dim=1) == 1).any():
            raise ValueError("saturated")
        return x


class ThresholdThatFails(Plain):
    @property
    def input_threshold(self):
        raise ValueError("not set yet")


class CountsFromOne(Plain):
    """Has its classes moved by one, as where labels were 1 to 10."""

    def finish(self, logits, x):
        return logits.roll(1, dims=1)


class TrainsItself(Plain):
    """Has a method `train` that trains, and not the one of a module."""

    def train(self, images, labels):
        raise NotImplementedError
