"""Config files are read strictly and laid over one another as they say; nothing is dropped without a word."""

from copy import deepcopy

import pytest
import yaml
from configs import ROOT, shipped
from hypothesis import given
from hypothesis import strategies as st

from absynth.errors import InputError
from absynth.workflow.config_files import (
    check_command,
    lay_over,
    merged_config,
    parse_option,
    parse_options,
    read_config,
)


@pytest.fixture
def write(tmp_path):
    """Write a config file, text or bytes, and return its path."""

    def write(content, name="own.yaml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_are_read_as_by_yaml(path):
    assert read_config(path) == shipped(path.stem)


BAD = [
    ("run: x\nseed: 1\nrun: y\n", "line 3: config key run stands twice, first in line 1; leave one"),
    ("attacks:\n  fgm: {}\n  bim: {}\n  fgm: null\n", "line 4: config key fgm stands twice, first in line 2"),
    ("a: &x {b: 1, b: 2}\nc: *x\n", "line 1: config key b stands twice"),
    ("base: &b {x: 1}\nc:\n  <<: *b\n  y: 1\n  <<: *b\n", "line 5: config key << stands twice"),
    ('{"run": "x", "run": "y"}', "config key run stands twice"),
    ('{"models": {"cnn": {}, "cnn": null}}', "config key cnn stands twice"),
    ("", "empty; a config with the keys of"),
    ("# nothing but this\n", "empty; a config with the keys of"),
    ("- run\n- seed\n", r"holds a list; keys with their values \(key: value\) are needed"),
    ("run x\n", "holds the one value 'run x'; keys with"),
    (b"run: \xff\xfe\n", r"not UTF-8 \(byte 5\); save it as UTF-8"),
    ("run: x\n".encode("utf-16"), r"not UTF-8"),
    ("vae:\n\tepochs: 5\n", r"line 2: not valid YAML \(a tab indents it; write spaces\)"),
    ("vae: {epochs: 5\nrun: x", r"line \d: not valid YAML \("),
    ("run: x\n---\nrun: y\n", r"line 2: not valid YAML \(but found another document\)"),
    ("when: 2024-13-45\n", r"not valid YAML \("),
    ("run: !!python/object:os.system x\n", r"line 1: not valid YAML \(could not determine a constructor"),
    ("attacks:\n  no: {}\n", "line 2: config key no is of type bool in YAML; put it in quotes, 'no'"),
    ("models: {1: {}}\n", "line 1: config key 1 is of type int in YAML; put it in quotes"),
    ("models: {~: {}}\n", "line 1: config key ~ is of type null in YAML; put it in quotes"),
    ("? [a, b]\n: 1\n", "line 1: a key that is no text"),
    ("seed: 010\n", "line 1: 010 is a number in base 8 in YAML; write it without leading zeros"),
    ("seed: 1:30\n", "line 1: 1:30 is a number in base 60 in YAML"),
    ("vae: &v {refine: *v}\n", "line 1: an anchor that holds an alias of itself"),
    (
        "models: {m: {arguments: {b: 1e-3}}}\n",
        "line 1: config key arguments.b: 1e-3 is a text in YAML; write 0.001, or",
    ),
    (
        "a: {arguments: {b: {c: [2,\n 5E8]}}}\n",
        "line 2: config key arguments.b.c.1: 5E8 is a text in YAML; write 5000",
    ),
    ("__use_yte__: true\nrun: x\n", "config key __use_yte__: templates are not read"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_bad_file_is_refused_in_one_line(write, content, message):
    path = write(content)
    with pytest.raises(InputError, match=rf"^{path}[:,] ?{message}") as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.yaml", ""])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(InputError, match="cannot be read"):
        read_config(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "config"),
    [
        ("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  x: 3\n", {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}),
        ("a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b}\n", {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 2}}),
        ("a: &a {x: 1}\nb: {<<: [*a, {x: 5, z: 2}]}\n", {"a": {"x": 1}, "b": {"x": 1, "z": 2}}),
        ('{\n\t"vae": {"learning_rate": 1e-3}\n}', {"vae": {"learning_rate": 0.001}}),
        ("seed: 0x10\nn: 1_000\nzero: 0\n", {"seed": 16, "n": 1000, "zero": 0}),
        (
            "m: {arguments: {a: '1e-3', b: \"2e5\", c: 1.0e-3, d: e5, f: 1e}}\nlabel: 1e-3\n",
            {
                "m": {"arguments": {"a": "1e-3", "b": "2e5", "c": 0.001, "d": "e5", "f": "1e"}},
                "label": "1e-3",
            },
        ),
        ("\ufeffrun: x\n", {"run": "x"}),
        ("'no': 1\n", {"no": 1}),
    ],
)
def test_what_is_sound_is_read(write, content, config):
    assert read_config(write(content)) == config


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"attacks": {"ddn": None}}, {"attacks": {"ddn": {}}}, {"attacks": {"ddn": {}}}),
        ({"vae": {"refine": None}}, {"vae": {"refine": {}}}, {"vae": {"refine": {}}}),
        ({"attacks": None}, {"attacks": {"bim": {}}}, {"attacks": {"bim": {}}}),
        ({"attacks": {"ddn": None}}, {"attacks": {"ddn": {"steps": 5}}}, {"attacks": {"ddn": {"steps": 5}}}),
        ({"attacks": {"ddn": {"steps": 5}}}, {"attacks": {"ddn": {}}}, {"attacks": {"ddn": {"steps": 5}}}),
        ({"attacks": {"ddn": {"steps": 5}}}, {"attacks": {"ddn": None}}, {"attacks": {"ddn": None}}),
        ({"norms": ["l2"]}, {"norms": ["l0"]}, {"norms": ["l0"]}),
        ({"shards": 4}, {"shards": None}, {"shards": None}),
        ({"a": 1}, {"a": {"b": {}}}, {"a": {"b": {}}}),
    ],
)
def test_files_are_laid_over_one_another(write, base, over, merged):
    before = deepcopy(base), deepcopy(over)
    assert lay_over(base, over) == merged
    assert (base, over) == before
    paths = [write(yaml.safe_dump(part), f"{i}.yaml") for i, part in enumerate((base, over))]
    assert merged_config(paths, []) == merged


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"shards": 4}, {"images_per_shard": 10}, {"images_per_shard": 10}),
        ({"images_per_shard": 10}, {"shards": 4}, {"shards": 4}),
        ({"shards": 4}, {"images_per_shard": None}, {"shards": 4, "images_per_shard": None}),
        ({"shards": 4}, {"images_per_shard": 10, "shards": 2}, {"images_per_shard": 10, "shards": 2}),
    ],
)
def test_what_divides_the_images_is_replaced_as_a_whole(write, base, over, merged):
    paths = [write(yaml.safe_dump(part), f"{i}.yaml") for i, part in enumerate((base, over))]
    options = [f"{key}={'null' if value is None else value}" for key, value in over.items()]
    assert merged_config(paths, []) == merged_config(paths[:1], options) == merged


@pytest.mark.parametrize("section", ["attacks", "models"])
def test_null_takes_out_an_entry_of_a_name_of_its_own(write, section):
    known = {"attacks": "ddn", "models": "cnn"}[section]
    paths = [
        write(yaml.safe_dump({section: {"mine": {"kind": known}, known: {}}}), "mine.yaml"),
        write(yaml.safe_dump({section: {"mine": None, known: None, "other": None}}), "over.yaml"),
    ]
    assert merged_config(paths, []) == {section: {known: None, "other": None}}  # `other` will be refused
    assert merged_config(paths[:1], [f"{section}={{mine: null}}"]) == {section: {known: {}}}


VALUES = st.none() | st.integers() | st.lists(st.integers(), max_size=2)
CONFIGS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(VALUES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
)


@given(CONFIGS, CONFIGS)
def test_all_that_the_upper_config_says_holds(base, over):
    def holds(said, found):
        if isinstance(said, dict):
            return isinstance(found, dict) and all(holds(value, found[key]) for key, value in said.items())
        return said == found

    assert holds(over, lay_over(base, over))


OPTIONS = [
    ("n_samples=50", 50),
    ("run=x", "x"),
    ("run='x'", "x"),
    ("vae=True", True),
    ("rate=1e-3", 0.001),
    ("data_dir=null", None),
    ("data_dir=None", None),
    ("data_dir=", None),
    ("data_dir=/a=b", "/a=b"),
    ("attacks={fgm: {}, bim: null, ddn: {steps: 5}}", {"fgm": {}, "bim": None, "ddn": {"steps": 5}}),
    ("attacks={'ddn': {'steps': 5}, 'bim': None}", {"ddn": {"steps": 5}, "bim": None}),
    ("vae={'learning_rate': 1e-05, kl_end: 1e-3}", {"learning_rate": 1e-05, "kl_end": 0.001}),
    ("norms=[l2, l0]", ["l2", "l0"]),
    ("seeds=[1, 2]", [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "value"), OPTIONS, ids=[entry for entry, _ in OPTIONS])
def test_values_of_config_options_have_their_types(entry, value):
    key, found = parse_option(entry)
    assert (key, found) == (entry.partition("=")[0], value)
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["n=1", "n=2"], "--config: n is given twice"),
        (["attacks={a: {}}", "attacks={b: {}}"], "--config: attacks is given twice"),
        (["attacks={a: {}, a: null}"], "--config attacks, line 1: config key a stands twice"),
        (["attacks={a: {"], "--config attacks, line 1: not valid YAML"),
        (["attacks={'a': 1, 'a': None}"], "--config attacks, line 1: config key a stands twice"),
        (["attacks={1: {}}"], "--config attacks, line 1: config key 1 is of type int"),
    ],
)
def test_bad_config_options_are_named(entries, message):
    with pytest.raises(InputError, match=message):
        parse_options(entries)


SNAKEMAKE = ("snakemake", "/env/bin/snakemake", "/env/lib/snakemake/__main__.py")


@pytest.mark.parametrize("program", SNAKEMAKE)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "--configfile A --configfile B",
            "--configfile and then --configfile: .*write one --configfile A B$",
        ),
        ("--configfile A -c2 --configfiles B", "--configfile and then --configfiles: "),
        ("--configfile=A --configfile=B", "--configfile=A and then --configfile=B: "),
        ("--config a=1 --config b=2", "--config and then --config: .*write one --config a=1 b=2$"),
        ("-C a=1 --config b=2", "-C and then --config: "),
        ("-Ca=1 -C b=2", "-Ca=1 and then -C: "),
    ],
)
def test_an_option_given_twice_is_refused(program, arguments, message):
    with pytest.raises(InputError, match=message):
        check_command([program, *arguments.split()])


@pytest.mark.parametrize(
    "command",
    [
        "snakemake --configfile A B --config a=1 b=2 -c2",
        "snakemake --configfile A --config a=1",
        "snakemake -c2 --cores 2",
        "pytest --config a --config b",
        "",
    ],
)
def test_other_commands_are_not(command):
    check_command(command.split())
