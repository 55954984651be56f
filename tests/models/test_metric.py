"""Scalar products within a known error, whatever precision torch is told to multiply with."""

import pytest
import torch

from absynth.models.metric import products, rounding


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(5, 300, generator=generator), torch.rand(7, 300, generator=generator)


def check(found: torch.Tensor, x: torch.Tensor, images: torch.Tensor) -> None:
    exact = x.double() @ images.T.double()
    assert found.dtype == x.dtype
    assert ((found - exact).abs() <= rounding(images) * exact).all()


def test_autocast_has_no_effect(pair):
    with torch.autocast("cpu", torch.bfloat16):
        assert (pair[0] @ pair[1].T).dtype == torch.bfloat16
        found = products(*pair)
    check(found, *pair)


def test_a_precision_that_torch_does_not_tell_counts_as_less_than_the_highest(pair, monkeypatch):
    """As it does where torch.backends.cuda.matmul.fp32_precision is set."""

    def untold() -> str:
        raise RuntimeError("mixed")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", untold)
    found = products(*pair)
    check(found, *pair)
    assert torch.equal(found, (pair[0].double() @ pair[1].T.double()).float())


def test_a_precision_set_for_cuda_alone_is_no_error(pair):
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        check(products(*pair), *pair)
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
