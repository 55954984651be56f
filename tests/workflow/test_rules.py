"""The rules' params, as Snakemake compares them with those of the last run."""

import re
from pathlib import Path

import pytest
from configs import SCHEMAS, shipped

from absynth.workflow.plan import Plan

RULES = Path(__file__).parents[2] / "workflow" / "rules"
NUMBER = re.compile(
    r"""^\s+\w+=(?:lambda\ wildcards:\ )?  # a param that is
    (?:config\["(\w+)"\](?:\["(\w+)"\])?  # a value of the config
    |planned\(.*\)\.entry\.get\("(\w+)"\)),$  # or an option of a model
    """,
    re.VERBOSE,
)
UPSTREAM = {"seed", "n_samples"}  # where these change, so do the rule's inputs
TEXTS = {"data_dir"}  # null in the shipped config


def numbers(params: str) -> list[str]:
    """The keys of the numbers among params."""
    config, found = shipped(), []
    Plan(config, SCHEMAS)  # fills in defaults
    for match in filter(None, map(NUMBER.match, params.splitlines())):
        key, inner, option = match.groups()
        value = None if option else config[key][inner] if inner else config[key]
        if value is None or isinstance(value, int | float):
            found.append(option or inner or key)
    return [name for name in found if name not in UPSTREAM | TEXTS]


@pytest.mark.parametrize("path", sorted(RULES.glob("*.smk")), ids=lambda path: path.stem)
def test_no_two_numbers_of_a_rule_can_change_places(path):
    """Snakemake 9.27 compares the values of params without their names; those in a mapping keep theirs."""
    for block in path.read_text(encoding="utf-8").split("params:")[1:]:
        found = numbers(block.split("script:")[0])
        assert len(found) < 2, found


def test_numbers_are_seen_as_the_rules_write_them():
    params = """
        n_accuracy=config["n_accuracy"],
        gamma_images=lambda wildcards: planned(wildcards.model).entry.get("gamma_images"),
        n=config["figures"]["per_quantile"],
        seed=config["seed"],
        run=config["run"],
        counts={"n_accuracy": config["n_accuracy"]},
"""
    assert numbers(params) == ["n_accuracy", "gamma_images", "per_quantile"]
