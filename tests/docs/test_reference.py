"""The reference says what the code says, and what pages name exists."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import linear_models
import pytest
import torch
import yaml

import docstrings
import generate_reference
from absynth.attacks.randomness import SampleRandom
from absynth.attacks.registry import ATTACKS
from absynth.attacks.target import Target
from absynth.evaluation import attack_table, audit, bracket, lower_bounds
from absynth.models.registry import KINDS
from absynth.reporting import models_table, runtime
from absynth.workflow.config import RENAMED

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *ROOT.glob("*.md"),
        ROOT / "config" / "README.md",
        ROOT / "resources" / "weights" / "README.md",
    ]
)
LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
NAMED = re.compile(
    r"`((?:src|scripts|workflow|tests|docs|config|benchmarks|resources|envs|\.ci)/[\w./-]*)(?:`| )",
    re.MULTILINE,
)
# Words that the glossary of the project replaces. Quoted keys of recorded output and the changelog may keep them.
REPLACED = re.compile(
    r"misread|rightly|\bverdict|foresee|foreseen|from nothing|\bhops?\b|\bduels?\b|refut|confront|nearest adversarial"
    r"|made sure|\bclimb|\ba row an?\b|an image a row|explains? (?:it|x|the image)|withdraw|asks for more",
    re.IGNORECASE,
)


def schema(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "workflow" / "schemas" / f"{name}.schema.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", generate_reference.PAGES)
def test_generated_parts_are_current(page):
    assert generate_reference.generated(page) == (DOCS / page).read_text(encoding="utf-8")


def test_a_changed_table_is_noticed_and_written(tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text(
        "Before\n\n<!-- generated: kinds -->\n<!-- end -->\n\nAfter\n", encoding="utf-8"
    )
    monkeypatch.setattr(generate_reference, "DOCS", tmp_path)
    monkeypatch.setattr(generate_reference, "PAGES", ("page.md",))
    assert generate_reference.main(check=True) == 1
    assert generate_reference.main(check=False) == 0
    assert generate_reference.main(check=True) == 0
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "| `nearest_neighbor` | Nearest Neighbor | gradients, lower bounds |" in text


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "integer", "minimum": 1}, "integer, ≥\xa01"),
        ({"type": "integer", "minimum": 1, "maximum": 4000}, "integer, 1 to 4,000"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number, >\xa00, ≤\xa01"),
        ({"type": ["number", "null"]}, "number or `null`"),
        ({"type": "array", "items": {"enum": ["l2", "l0"]}}, "list of `l2`, `l0`"),
        (
            {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}},
            "list of integers, 0 to 9",
        ),
    ],
)
def test_allowed_values_in_words(part, words):
    assert generate_reference.allowed(part) == words


def test_every_key_of_a_config_is_described():
    def undescribed(path: str, part: dict[str, Any]) -> list[str]:
        nested = [
            name
            for key, inner in part.get("properties", {}).items()
            for name in undescribed(f"{path}.{key}", inner)
        ]
        return nested if "description" in part or path.count(".") == 0 else [path, *nested]

    parts = {"config": schema("config")} | schema("models") | schema("attacks")
    assert [name for path, part in parts.items() for name in undescribed(path, part)] == []


def test_every_attack_has_a_sentence_and_every_source_a_paper():
    notes = yaml.safe_load((DOCS / "reference" / "attacks.yaml").read_text(encoding="utf-8"))
    assert notes["attacks"].keys() == ATTACKS.keys()
    assert notes["sources"].keys() == {entry.source for entry in ATTACKS.values()}


@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("custom", "substitute")])
def test_every_kind_of_model_is_listed(name):
    assert f"| `{name}` |" in generate_reference.generated("reference/config.md")


def test_every_rule_and_target_is_listed():
    text = (DOCS / "reference" / "rules.md").read_text(encoding="utf-8")
    files = [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
    rules = [
        rule
        for file in files
        for rule in re.findall(r"^ *rule (\w+):", file.read_text(encoding="utf-8"), re.M)
    ]
    assert len(rules) > 30
    assert [rule for rule in rules if f"`{rule}`" not in text and not rule.startswith("plot_")] == []


def test_every_column_of_a_table_is_listed():
    text = (DOCS / "reference" / "outputs.md").read_text(encoding="utf-8")
    constants = [
        lower_bounds.COLUMNS,
        lower_bounds.CERTIFICATES,
        audit.COLUMNS,
        bracket.VIOLATIONS,
        bracket.MEDIANS,
        bracket.CURVES,
        attack_table.COLUMNS,
        runtime.COLUMNS,
        models_table.COLUMNS,
    ]
    columns = {name for constant in constants for name in constant}
    for script in (ROOT / "scripts").rglob("*.py"):
        for listed in re.findall(
            r"^_?[A-Z_]*COLUMNS = \(([^)]*)\)", script.read_text(encoding="utf-8"), re.M
        ):
            columns |= set(re.findall(r'"(\w+)"', listed))
    assert len(columns) > 40
    assert sorted(name for name in columns if f"`{name}`" not in text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_and_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for link in LINK.finditer(text):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.exists(), link[0]
        if link["anchor"] and target.suffix == ".md":
            assert link["anchor"] in anchors(target.read_text(encoding="utf-8")), link[0]
    if page.name != "CHANGELOG.md":  # which also names what was moved
        named = [*NAMED.findall(text), *re.findall(r"python ((?:benchmarks|docs)/[\w/]+\.py)", text)]
        absent = [path for path in named if not (ROOT / path).exists()]
        made_up = ["src/absynth/attacks/fading.py"]
        assert [path for path in absent if path not in made_up and not path.endswith("/")] == []


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, and of the objects that it shows."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    slugs = {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip()) for head in heads}
    return (
        slugs
        | set(re.findall(r"^::: ([\w.]+)$", text, re.M))
        | set(re.findall(r'^<a id="([\w-]+)"></a>', text, re.M))
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_use_the_words_of_the_field(page):
    if page.name != "CHANGELOG.md":
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        assert [found[0] for found in REPLACED.finditer(prose)] == []


def test_renamed_keys_are_in_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for old, new in RENAMED.items():
        assert re.search(rf"`{re.escape(old)}` \| `[\w.]*{re.escape(new)}`", text), old


def test_the_readme_fits():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_the_attack_in_the_how_to_page_attacks():
    text = (DOCS / "how-to" / "add-an-attack.md").read_text(encoding="utf-8")
    code = re.search(r'```python title="src/absynth/attacks/fading.py"\n(.*?)    ```', text, re.S)[1]
    module = SimpleNamespace(__name__="fading")
    exec(compile(re.sub(r"^    ", "", code, flags=re.M), "fading.py", "exec"), vars(module))
    model = linear_models.two_class()
    x, y = linear_models.images(model)
    target = Target(model, x, y, "l2")
    module.fading("l2", steps=10)(target, SampleRandom(0, "fading", range(len(x)), x.device))
    assert (target.queries == 10).all()
    fooled = model(0 * x).argmax(dim=1) != y
    assert torch.equal(target.best_distance.isfinite(), fooled)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("One line.", "One line."),
        (
            "First.\n\nrows (m,): active ones\n    and more\nReturns (n,)",
            "First.\n\n- **rows (m,)**: active ones\n  and more\n- **Returns** (n,)",
        ),
        ("A sentence: with a colon inside.", "A sentence: with a colon inside."),
        ("builder(norm, **options) at E*_c, over *all*", r"builder(norm, \*\*options) at E\*_c, over *all*"),
        ("Prose first.\nRaises InputError", "Prose first.\n\n- **Raises** InputError"),
    ],
)
def test_docstrings_as_markdown(text, markdown):
    assert docstrings.as_markdown(text) == markdown
