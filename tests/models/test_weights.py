"""Weights are read without unpickling, and checked against the module they are for."""

import os
import pickle
import random

import pytest
import torch
from safetensors.torch import save_file

from absynth.errors import InputError
from absynth.models.weights import load_weights, read_state, save_weights


def net(seed: int = 0, width: int = 3) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(1, width, 5), torch.nn.BatchNorm2d(width), torch.nn.Flatten())


@pytest.fixture
def path(tmp_path):
    save_weights(tmp_path / "net.pt", net())
    return tmp_path / "net.pt"


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("name", ["net.pt", "net.net", "net.safetensors"])
def test_round_trip(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(net().state_dict(), path)
    else:
        save_weights(path, net().to(memory_format=torch.channels_last))
    module = net(seed=1)
    assert not same(module, net())
    load_weights(path, module)
    assert same(module, net())
    assert all(isinstance(value, torch.Tensor) for value in read_state(path).values())


def test_counter_of_batches_may_be_missing(tmp_path):
    """The authors' released weights were written before batch norm counted."""
    state = {name: value for name, value in net().state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "old.net")
    module = net(seed=1)
    load_weights(tmp_path / "old.net", module)
    assert same(module, net())


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, made):
        self.made = str(made)

    def __reduce__(self):
        return os.mkdir, (self.made,)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_pickled_payload_is_refused_and_not_run(tmp_path, form):
    made, path = tmp_path / "made", tmp_path / "evil.pt"
    content = {"weight": Payload(made)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(InputError, match=r"evil\.pt: not a plain state dict and therefore not read"):
        read_state(path)
    assert not made.exists()
    pickle.loads(pickle.dumps(content))  # the payload would have worked
    assert made.exists()


def test_whole_modules_are_refused(tmp_path):
    torch.save(net(), tmp_path / "module.pt")
    with pytest.raises(InputError, match="not a plain state dict"):
        load_weights(tmp_path / "module.pt", net())


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_file_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        save_weights(path, net())
    else:
        save_file(net().state_dict(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"net\.\w+: (damaged|unreadable|not a plain)"):
        load_weights(path, net())


def test_any_flipped_bit_is_refused_or_harmless(path):
    whole, read, draw = path.read_bytes(), read_state(path), random.Random(1)
    refused = 0
    for _ in range(200):
        content, place = bytearray(whole), draw.randrange(len(whole))
        content[place] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            found = read_state(path)
        except InputError as error:
            refused += 1
            message = str(error)
        else:
            assert found.keys() == read.keys()
            assert all(torch.equal(found[name], read[name]) for name in read)
    assert refused > 50
    assert message.startswith(f"{path}: ")


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "notes.pt").write_text("hello, these are no weights")
    with pytest.raises(InputError, match=r"notes\.pt: "):
        read_state(tmp_path / "notes.pt")


@pytest.mark.parametrize(
    "content", [[torch.zeros(1)], {"weight": 3}, torch.zeros(2), {"state": {"w": torch.zeros(1)}}]
)
def test_anything_but_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(InputError, match="expected a dict of named tensors, found"):
        read_state(tmp_path / "x.pt")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pt: no such weights file"):
        read_state(tmp_path / "none.pt")


def changed(path, **values) -> None:
    state = torch.load(path, weights_only=True)
    for name, value in values.items():
        name = name.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    torch.save(state, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"0__weight": torch.zeros(4, 1, 5, 5)},
            r"'0.weight' has shape \(4, 1, 5, 5\), expected \(3, 1, 5, 5\)",
        ),
        ({"0__bias": None}, r"lacks '0.bias' \(and 0 more of 7 tensors\)"),
        ({"0__bias": None, "1__bias": None}, r"lacks '0.bias' \(and 1 more of 7 tensors\)"),
        ({"7__bias": torch.zeros(3)}, "has '7.bias', which Sequential does not know"),
        ({"1__weight": torch.tensor([1, torch.nan, 1])}, "'1.weight' holds values that are not finite"),
        ({"1__bias": torch.tensor([1, torch.inf, 1])}, "'1.bias' holds values that are not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_nothing_is_loaded(path, change, message):
    changed(path, **change)
    module = net(seed=1)
    with pytest.raises(InputError, match=rf"net\.pt: {message}"):
        load_weights(path, module)
    assert same(module, net(seed=1))


def test_names_that_are_no_text_are_refused(tmp_path):
    torch.save({**net().state_dict(), 5: torch.zeros(1), "six": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"x\.pt: expected a dict of named tensors"):
        load_weights(tmp_path / "x.pt", net())


def test_writing_is_atomic(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_weights(path, net(seed=1))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def prefixed(prefix: str) -> dict:
    return {prefix + name: value for name, value in net().state_dict().items()}


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_taken_off(tmp_path, prefix):
    torch.save(prefixed(prefix), tmp_path / "net.pt")
    module = net(seed=1)
    load_weights(tmp_path / "net.pt", module)
    assert same(module, net())


def test_a_module_whose_own_names_begin_like_a_wrapper_s_keeps_them(tmp_path):
    wrapped = torch.nn.Module()
    wrapped.module = net()
    save_weights(tmp_path / "net.pt", wrapped)
    other = torch.nn.Module()
    other.module = net(seed=1)
    load_weights(tmp_path / "net.pt", other)
    assert same(other.module, net())


@pytest.mark.parametrize("prefix", ["net.", "backbone.module."])
def test_other_prefixes_are_named(tmp_path, prefix):
    torch.save(prefixed(prefix), tmp_path / "net.pt")
    with pytest.raises(
        InputError, match=rf"lacks '0\.bias'.* it has '{prefix}0\.bias', which the model does not know"
    ):
        load_weights(tmp_path / "net.pt", net())


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"epoch": 3, "state_dict": net().state_dict()}, "state_dict"),
        ({"model": net().state_dict(), "args": {"lr": 0.1}}, "model"),
        ({"model": {"ema": prefixed("module."), "step": 7}}, "model.ema"),
    ],
)
def test_nested_state_dicts_are_read_by_their_key_and_suggested_without(tmp_path, content, key):
    path = tmp_path / "checkpoint.pt"
    torch.save(content, path)
    module = net(seed=1)
    load_weights(path, module, key=key)
    assert same(module, net())
    with pytest.raises(InputError, match=rf"found a dict with .*; write state_dict_key: {key}$"):
        load_weights(path, module)
    with pytest.raises(
        InputError, match=rf"nothing under state_dict_key 'weights'; write state_dict_key: {key}$"
    ):
        load_weights(path, module, key="weights")


def test_weights_in_double_precision_are_converted(tmp_path):
    torch.save({name: value.double() for name, value in net().state_dict().items()}, tmp_path / "net.pt")
    module = net(seed=1)
    load_weights(tmp_path / "net.pt", module)
    assert same(module, net())
    assert module[0].weight.dtype == torch.float32


def test_lazy_modules_take_the_shapes_of_their_weights(tmp_path):
    torch.manual_seed(0)
    trained = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(10))
    x = torch.rand(2, 1, 28, 28)
    expected = trained(x)
    save_weights(tmp_path / "net.pt", trained)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(10))
    load_weights(tmp_path / "net.pt", module)
    assert torch.equal(module.eval().requires_grad_(False)(x), expected)


def test_a_module_without_weights_has_an_empty_state_dict(tmp_path):
    torch.save({}, tmp_path / "net.pt")
    load_weights(tmp_path / "net.pt", torch.nn.Flatten())
    with pytest.raises(InputError, match=r"lacks '0\.bias'"):
        load_weights(tmp_path / "net.pt", net())


class WithExtraState(torch.nn.Module):
    """As modules do that remember scales, versions or settings in their state dict."""

    def __init__(self, extra):
        super().__init__()
        self.dense = torch.nn.Linear(3, 2)
        self.extra = extra

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


@pytest.mark.parametrize(
    "extra", [{"version": 1}, {"scale": torch.ones(1)}, [torch.ones(1)], 3, None], ids=repr
)
@pytest.mark.parametrize("key", [None, "model"])
def test_an_entry_that_is_no_tensor_is_named_and_leaving_it_out_works(tmp_path, extra, key):
    path, module = tmp_path / "net.pt", WithExtraState(extra)
    state = module.state_dict()
    torch.save({key: state, "epoch": 3} if key else state, path)
    kind = type(extra).__name__
    advice = "leave it out: torch.save({k: v for k, v in state.items() if torch.is_tensor(v)}, path)"
    with pytest.raises(
        InputError, match=rf"^[^\n]*'_extra_state' holds a {kind}, expected tensors alone; "
    ) as caught:
        load_weights(path, module, key=key)
    assert str(caught.value).endswith(advice)
    if key:
        with pytest.raises(InputError, match=r"write state_dict_key: model$"):
            load_weights(path, module)
    exec(advice.removeprefix("leave it out: "), {"torch": torch, "state": state, "path": path})
    other = WithExtraState("its own")
    load_weights(path, other)
    assert torch.equal(other.dense.weight, module.dense.weight)
    assert other.extra == "its own"


def test_extra_state_that_is_a_tensor_is_loaded(tmp_path):
    save_weights(tmp_path / "net.pt", WithExtraState(torch.ones(3)))
    other = WithExtraState(torch.zeros(1, 2))
    with pytest.raises(InputError, match=r"'_extra_state' has shape \(3,\), expected \(1, 2\)"):
        load_weights(tmp_path / "net.pt", other)
    other = WithExtraState({})
    load_weights(tmp_path / "net.pt", other)
    assert torch.equal(other.extra, torch.ones(3))


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_quantised_model_is_refused_as_one(tmp_path, dynamic):
    packed = (torch.zeros(2), None)
    state = {
        "0.scale": torch.ones(1),
        "0.zero_point": torch.zeros(1),
        "0._packed_params._packed_params": packed,
    }
    state |= {"0._packed_params.dtype": torch.qint8} if dynamic else {}
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"'0\._packed_params\.\w+' holds a .* before it was quantised$"):
        load_weights(tmp_path / "net.pt", net())


UNUSUAL = {
    "coo": lambda x: x.to_sparse(),
    "uncoalesced": lambda x: x.to_sparse() * 1 + x.to_sparse(),
    "csr": lambda x: x.to_sparse_csr(),
    "bsr": lambda x: x.to_sparse_bsr((2, 2)),
    "float8_e4m3fn": lambda x: x.to(torch.float8_e4m3fn),
    "float8_e5m2": lambda x: x.to(torch.float8_e5m2),
    "bfloat16": lambda x: x.bfloat16(),
    "int8": lambda x: x.nan_to_num(0).to(torch.int8),
    "quantised": lambda x: torch.quantize_per_tensor(x, 0.5, 0, torch.qint8),
}


class Holds(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.register_buffer("kept", value)


def dense(value: torch.Tensor) -> torch.Tensor:
    value = value.dequantize() if value.is_quantized else value
    return value.to_dense().float()


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:torch.quantize", "ignore:TypedStorage")
@pytest.mark.parametrize("kind", UNUSUAL)
def test_tensors_of_other_layouts_and_dtypes_are_loaded(tmp_path, kind):
    value = UNUSUAL[kind](2 * torch.eye(4))
    torch.save({"kept": value}, tmp_path / "net.pt")
    module = Holds(UNUSUAL[kind](torch.eye(4)))
    load_weights(tmp_path / "net.pt", module)
    assert torch.equal(dense(module.kept), dense(value))


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:torch.quantize", "ignore:TypedStorage")
@pytest.mark.parametrize("kind", ["coo", "csr", "bsr", "float8_e4m3fn", "float8_e5m2", "bfloat16"])
def test_values_that_are_not_finite_are_found_there_too(tmp_path, kind):
    torch.save({"kept": UNUSUAL[kind](torch.diag(torch.tensor([1, torch.nan, 1, 1])))}, tmp_path / "net.pt")
    with pytest.raises(InputError, match="'kept' holds values that are not finite"):
        load_weights(tmp_path / "net.pt", Holds(UNUSUAL[kind](torch.ones(4, 4))))


@pytest.mark.filterwarnings("ignore:Sparse", "ignore:torch.quantize", "ignore:TypedStorage")
@pytest.mark.parametrize("kind", ["meta", "csr"])
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, kind):
    value = torch.eye(4, device="meta") if kind == "meta" else torch.eye(4).to_sparse_csr()
    torch.save({"kept": value}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"^[^\n]*net\.pt: [^\n]*$"):
        load_weights(tmp_path / "net.pt", Holds(torch.ones(4, 4)))
