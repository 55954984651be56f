"""Decision-based attacks, on models whose distances are known on paper, and against their promises."""

import pytest
import torch
from threshold_models import SIZE, black, run, ten_classes, threshold
from torch import Tensor, nn

from absynth.attacks.boundary import boundary
from absynth.attacks.noise import gaussian_noise, salt_pepper
from absynth.attacks.pointwise import pointwise
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.target import Target
from absynth.errors import InputError
from absynth.norms import distance

ATTACKS = {
    "gaussian_noise/l2": ("l2", lambda: gaussian_noise("l2", repetitions=7)),
    "salt_pepper/l0": ("l0", lambda: salt_pepper("l0", repetitions=7)),
    "pointwise/l0": ("l0", lambda: pointwise("l0", repetitions=2, draws=11, block=3)),
    "pointwise/l2": ("l2", lambda: pointwise("l2", draws=6, resolution=1 / 64)),
    "boundary/l2": ("l2", lambda: boundary("l2", steps=60, trials=3)),
}
every_attack = pytest.mark.parametrize(("norm", "build"), ATTACKS.values(), ids=ATTACKS)


# Promises that all attacks keep


@every_attack
def test_adversarials_are_misclassified_images_at_the_stated_distance(norm, build):
    model, x, y = ten_classes()
    target = run(build(), model, x, y, norm)
    assert target.best_distance.isfinite().all()
    assert (target.best_distance > 0).all()
    assert target.best.min() >= 0
    assert target.best.max() <= 1
    assert (model(target.best).argmax(dim=1) != y).all()
    torch.testing.assert_close(target.best_distance, distance(x, target.best, norm), rtol=0, atol=0)


@every_attack
def test_no_adversarial_beats_the_hyperplane(norm, build):
    """Weights of one sign from a black image: the l2 and l0 minimum are known, and nothing may lie below."""
    weight = torch.linspace(0.5, 1.5, SIZE)
    x, y = black(3)
    target = run(build(), threshold(weight, 40.0), x, y, norm)
    heaviest = weight.sort(descending=True).values.cumsum(0)
    least = {"l2": 40.0 / weight.norm().item(), "l0": int((heaviest <= 40.0).sum()) + 1}[norm]
    assert (target.best_distance >= least - 1e-6).all()
    assert target.best_distance.isfinite().all()


@every_attack
def test_one_by_one_and_in_any_batch_the_results_are_equal(norm, build):
    model, x, y = ten_classes()
    together = run(build(), model, x, y, norm)
    for i in (0, 3, 5):
        alone = run(build(), model, x[i : i + 1], y[i : i + 1], norm, index=[i])
        torch.testing.assert_close(alone.best[0], together.best[i], rtol=0, atol=0)
        assert alone.queries[0] == together.queries[i]


@every_attack
def test_the_seed_decides(norm, build):
    model, x, y = ten_classes()
    first, again = (run(build(), model, x, y, norm, seed=3) for _ in range(2))
    torch.testing.assert_close(first.best, again.best, rtol=0, atol=0)
    assert (run(build(), model, x, y, norm, seed=4).best != first.best).any()


@every_attack
def test_a_model_that_never_errs_yields_infinity(norm, build):
    x, y = black(3)
    target = run(build(), threshold(torch.ones(SIZE), 1000.0), x, y, norm)
    assert target.best_distance.isinf().all()
    torch.testing.assert_close(target.best, x)


@every_attack
def test_a_model_that_always_errs_leaves_the_smallest_change_it_was_asked(norm, build):
    """Fast inference may misclassify a clean image that the reference classifies correctly."""
    x, y = black(3)
    target = run(build(), threshold(torch.ones(SIZE), -1.0), x, y, norm)
    assert (target.best_distance > 0).all()
    assert (target.best_distance < {"l0": 2, "l2": 4}[norm]).all()


@every_attack
def test_images_without_adversarial_harm_no_others(norm, build):
    model, (x, y) = threshold(torch.ones(SIZE), 30.0), black(4)
    hard = threshold(torch.zeros(SIZE), 1.0)
    expected = run(build(), model, x, y, norm)

    class Switch(nn.Module):
        """The last of every four images, in the batch's order, cannot be fooled."""

        def forward(self, queries: Tensor) -> Tensor:
            immune = target.rows.repeat(len(queries) // len(target.rows)) == 3
            return torch.where(immune[:, None], hard(queries), model(queries))

    target = Target(Switch(), x, y, norm)
    build()(target, SampleRandom(0, "test", range(4), x.device))
    assert target.best_distance[3].isinf()
    torch.testing.assert_close(target.best[:3], expected.best[:3], rtol=0, atol=0)


@every_attack
def test_no_query_leaves_the_range_of_pixels(norm, build):
    model, x, _ = ten_classes()
    x = x.round()  # black and white: any noise would leave the range

    def within(queries: Tensor) -> Tensor:
        assert queries.min() >= 0
        assert queries.max() <= 1
        return model(queries)

    assert run(build(), within, x, model(x).argmax(dim=1), norm).best_distance.isfinite().all()


@every_attack
def test_only_active_images_are_asked(norm, build):
    model, x, y = ten_classes()
    target = Target(model, x, y, norm)
    with target.only(torch.tensor([1, 4])):
        build()(target, SampleRandom(0, "test", range(len(x)), x.device))
    assert (target.queries > 0).tolist() == [False, True, False, False, True, False]
    whole = run(build(), model, x, y, norm)
    torch.testing.assert_close(target.best_distance[[1, 4]], whole.best_distance[[1, 4]], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("builder", "norm"),
    [(gaussian_noise, "l0"), (salt_pepper, "l2"), (pointwise, "linf"), (boundary, "linf")],
)
def test_a_norm_that_an_attack_cannot_minimise_is_refused(builder, norm):
    with pytest.raises(InputError, match=f"{builder.__name__}.*{norm!r}.*allowed"):
        builder(norm)
