"""What becomes of the config that Snakemake merged: in a workflow of its own, and as a module of another."""

from copy import deepcopy
from types import SimpleNamespace

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.settings.types import ConfigSettings
from snakemake.utils import update_config

from absynth.errors import InputError
from absynth.workflow.run_config import check_start, settle_config

BASE = {"run": "x", "attacks": {"cw": None, "bim": {"steps": 5}}}
OVER = {"attacks": {"cw": {}}}
STRICT = {"run": "x", "attacks": {"cw": {}, "bim": {"steps": 5}}}


@pytest.fixture
def start(tmp_path):
    """A workflow with BASE as its own file and `over` laid over it, and the config that Snakemake made of them."""

    def start(over=OVER, options=None, base=BASE, **settings):
        paths = [tmp_path / "base.yaml", tmp_path / "over.yaml"]
        for path, content in zip(paths, (base, over), strict=True):
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
        found = ConfigSettings(parse_config(options), [paths[1]], config_args=options or (), **settings)
        config = deepcopy(base)
        update_config(config, deepcopy(found.overwrite_config))
        configfiles = [*found.configfiles, str(paths[0])]
        paths = SimpleNamespace(prefix=None, modifies_prefixes=False)
        modifier = SimpleNamespace(path_modifier=paths)
        return SimpleNamespace(configfiles=configfiles, config_settings=found, modifier=modifier), config

    return start


def test_snakemake_loses_an_empty_mapping_and_it_is_put_back(start):
    workflow, config = start()
    assert config["attacks"]["cw"] is None
    settle_config(config, workflow, module=False)
    assert config == STRICT


@pytest.mark.parametrize("module", [True, False])
def test_options_of_the_command_line_are_laid_over_all_files(start, module):
    workflow, config = start(options=["run=y", "attacks={cw: {steps: 3}, bim: null}"])
    assert config["attacks"] == {"cw": {"steps": "3"}, "bim": "null"}  # Snakemake's
    settle_config(config, workflow, module=module)
    assert config == {"run": "y", "attacks": {"cw": {"steps": 3}, "bim": None}}


def test_a_module_that_is_handed_the_whole_config(start):
    workflow, config = start()
    settle_config(config, workflow, module=True)
    assert config == STRICT


def test_a_module_that_is_handed_a_part_of_it(start):
    workflow, config = start(over={"absynth": OVER}, base={"absynth": BASE, "other": 5})
    settle_config(config["absynth"], workflow, module=True)
    assert config["absynth"] == STRICT


def test_a_module_without_a_config_reads_its_own_file(start, tmp_path):
    workflow, config = start()
    outer = tmp_path / "outer.yaml"
    outer.write_text("other: 5\n", encoding="utf-8")
    workflow.configfiles.insert(1, str(outer))
    settle_config(config, workflow, module=True)
    assert config == STRICT


def test_a_config_that_a_snakefile_made_is_left_as_it_is(start):
    workflow, _ = start(over={"run": "y"})
    config = {"run": "made", "attacks": {}}
    settle_config(config, workflow, module=True)
    assert config == {"run": "made", "attacks": {}}


def test_a_loss_that_cannot_be_put_back_is_refused(start):
    workflow, config = start()
    config["run"] = "changed by the Snakefile"
    with pytest.raises(InputError, match=r"^config key attacks\.cw: found None, but .* say \{\}"):
        settle_config(config, workflow, module=True)


@pytest.mark.parametrize("module", [True, False])
def test_all_files_are_read_strictly(start, module):
    workflow, config = start()
    workflow.config_settings.configfiles[0].write_text("run: x\nrun: y\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"over\.yaml, line 2: config key run stands twice"):
        settle_config(config, workflow, module=module)


def test_what_jobs_are_not_told_of_is_refused(start):
    workflow, _ = start(replace_workflow_config=True)
    with pytest.raises(InputError, match=r"^--replace-workflow-config: "):
        check_start(workflow, ["snakemake"])


@pytest.mark.parametrize("change", [{"prefix": "sub/"}, {"modifies_prefixes": True}])
def test_a_module_with_a_prefix_is_refused(start, change):
    workflow, _ = start()
    check_start(workflow, ["snakemake"])
    vars(workflow.modifier.path_modifier).update(change)
    with pytest.raises(InputError, match=r"^module absynth: `prefix` and `replace_prefix` are not taken"):
        check_start(workflow, ["snakemake"])


def test_options_given_twice_are_refused(start):
    with pytest.raises(InputError, match="--configfile and then --configfile"):
        check_start(start()[0], ["snakemake", "--configfile", "A", "--configfile", "B"])
