"""The report is one self-contained page that renders in a browser and sorts its tables."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from browser import open_page
from configs import ROOT, shipped
from pictures import EPSILONS, LABELS, TITLES, curve, statistics
from scripts.report.write_report import main

from absynth.data.split_files import write_split
from absynth.reporting.figures.style import save_figure
from absynth.reporting.report import Field, Figure, flat_table
from absynth.reporting.report_tables import (
    attacks_table,
    distal_table,
    report_tables,
    robustness_table,
    runtime_table,
)
from absynth.reporting.tables import NEAR_BOUND_NOTE, table1
from absynth.workflow.provenance import provenance

INF = float("inf")
SECTIONS = {
    "checks": {"title": "Checks", "intro": "0."},
    "minimal": {"title": "Minimal", "intro": "I."},
    "distal": {"title": "None", "intro": "-"},
    "run": {"title": "Run", "intro": "II."},
}
FIGURES = [
    {"section": "minimal", "title": "Curves", "wildcards": {}},
    {"section": "minimal", "title": "Quarters, {norm}", "wildcards": {"norm": "l2"}},
]
ROBUSTNESS = pd.DataFrame(
    [
        (model, norm, attack, median, 0.5, 8)
        for norm, attacks in TITLES.items()
        for attack in [*attacks, "all"]
        for model, median in zip(LABELS, [10.0, 9.0, INF], strict=True)
    ],
    columns=["model", "norm", "attack", "median", "accuracy", "n"],
)


RUNTIME = pd.DataFrame(
    {"stage": ["attack"], "jobs": [4], "seconds": [90.0], "longest": [60.0], "memory": [512.4]}
)


def frames() -> dict[str, pd.DataFrame]:
    table = table1(ROBUSTNESS, dict.fromkeys(LABELS, 0.99), models=LABELS, attacks=TITLES, epsilons=EPSILONS)
    models = pd.DataFrame(
        {"model": list(LABELS), "alpha": 1.0, "eta": 1e-6, "test_accuracy": [0.9, 0.8, 0.7], "accuracy": 0.9}
    )
    everything = {"table1": table, "robustness": ROBUSTNESS, "models": models}
    return {**everything, "attacks": statistics()}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    return written(tmp_path_factory.mktemp("report"), {**LABELS, "mine": "My <i>model</i>"})


def written(folder: Path, models: dict[str, str]) -> Path:
    """The report of a run of these models, by their titles."""
    from absynth.reporting.figures.training import training_figure

    tables = {}
    for stem, frame in frames().items():
        tables[stem] = folder / f"{stem}.csv"
        frame.to_csv(tables[stem], index=False)
    save_figure(
        training_figure({"cnn": curve(loss=0.1, accuracy=0.9)}, {}, models=LABELS), [folder / "figure.svg"]
    )
    (folder / "caption.rst").write_text("Of *{{ snakemake.config['run'] }}*, 5 < 6.\n", encoding="utf-8")
    about = provenance(shipped(), [{"absynth": 1, "torch": "9.9", "foolbox": 2, "device": "cuda:1"}], [1.7e9])
    about["hardware"] |= {"processor": "Abacus & Co", "gpus": ["Some GPU"]}
    about["command"] = "snakemake --cores 2 --config 'run=a<b>'"
    about["lacking_classes"] = "the 2 images attacked hold none of classes 2, 3"
    about["odd_intensities"] = ["the brightest pixel is 0.06 & no more"]
    (folder / "provenance.json").write_text(json.dumps(about), encoding="utf-8")
    write_split(folder / "test.h5", np.zeros((2, 8, 8), np.uint8), np.arange(2), "mnist", "test")
    measured = [folder / "attack" / f"{number}.tsv" for number in range(4)]
    measured[0].parent.mkdir()
    for path, seconds in zip(measured, (60.0, 10.0, 10.0, 10.0), strict=True):
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0\t512.4\n", encoding="utf-8")
    main(
        template=ROOT / "workflow" / "report" / "report.html.j2",
        captions=[folder / "caption.rst"] * 2,
        drawings=[folder / "figure.svg"] * 2,
        tables=tables,
        images=folder / "test.h5",
        minimal=[],
        reconstructions=[],
        provenance=folder / "provenance.json",
        benchmarks=measured,
        runtime=folder / "runtime.csv",
        report=folder / "report.html",
        config={**shipped(), "run": "a<b>", "n_samples": 2},
        models=models,
        attacks=TITLES,
        sections=SECTIONS,
        figures=FIGURES,
    )
    return folder / "report.html"


def test_page_refers_to_no_other_file_or_host(page):
    text = page.read_text(encoding="utf-8")
    sources = re.findall(
        r'<(?!a )[^>]*?(?:src|href)="([^"]{0,40})', text
    )  # but for links, which load nothing
    assert sources
    assert all(source.startswith("data:") for source in sources)
    assert "@import" not in text
    assert "url(" not in text


def test_page_links_to_the_files_beside_it_and_says_what_the_run_cost(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"#][^"]*)">', text)
    assert {"robustness.csv", "provenance.json", "runtime.csv", "test.h5", "figure.svg"} <= set(links)
    assert "attacks/cnn/l2/fgm/" in links
    assert all((page.parent / link).exists() for link in links if not link.startswith("attacks/"))
    found = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert found["costly jobs"] == "4, which took 90.0 s one after the other"
    assert found["command"] == "<code>snakemake --cores 2 --config &#39;run=a&lt;b&gt;&#39;</code>"


def test_text_from_the_config_is_escaped(page):
    text = page.read_text(encoding="utf-8")
    assert "a<b>" not in text
    assert "a&lt;b&gt;" in text
    assert "<i>model" not in text


def test_the_title_asks_for_the_models_of_the_run(page, tmp_path):
    assert "<h1>How robust are 3 classifiers on mnist?</h1>" in page.read_text(encoding="utf-8")
    alone = written(tmp_path, {"mine": "My <i>model</i>"}).read_text(encoding="utf-8")
    assert "<h1>How robust is My &lt;i&gt;model&lt;/i&gt; on mnist?</h1>" in alone


def test_page_states_versions_and_machine_of_the_run(page):
    found = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.read_text(encoding="utf-8")))
    assert found["torch"] == "9.9"  # recorded with the attacks, whatever is installed now
    assert found["processor"] == "Abacus &amp; Co"
    assert (found["GPUs"], found["attacks ran on"]) == ("Some GPU", "cuda:1")
    assert found["records made (UTC)"] == "2023-11-14"


def test_page_says_among_the_checks_what_is_odd_about_the_images(page):
    text = page.read_text(encoding="utf-8")
    found = text[text.index('<section id="checks">') : text.index('<section id="minimal">')]
    said = ["The 2 images attacked hold none of classes 2, 3", "The brightest pixel is 0.06 &amp; no more"]
    assert re.findall(r'<dt class="look">! Data</dt>\s*<dd>(.*?)\s*</dd>', found) == said


def test_empty_sections_are_left_out(page):
    text = page.read_text(encoding="utf-8")
    assert re.findall('<section id="(.*?)">', text) == ["checks", "minimal", "run"]


CHECK = """
const loaded = [...document.images].map((image) => { image.loading = 'eager'; return image.decode(); });
Promise.all(loaded).then(() => {
const rows = (i) => [...document.querySelectorAll('table')[i].tBodies].map(
  (body) => [...body.rows].map((row) => row.cells[0].textContent));
const click = (i, j) => document.querySelectorAll('table')[i].querySelectorAll('thead button')[j].click();
const found = {
  images: [...document.images].map((image) => [image.complete, image.naturalWidth, image.alt]),
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  before: rows(0),
};
click(0, 3); found.up = rows(0);
click(0, 3); found.down = rows(0);
found.sorted = document.querySelectorAll('table')[0].querySelector('[aria-sort]').textContent;
const check = document.createElement('pre'); check.id = 'check';
check.textContent = JSON.stringify(found); document.body.append(check);
});
"""


@pytest.mark.parametrize("width", [1280, 390])
def test_browser_renders_figures_and_sorts_tables_without_errors(page, tmp_path, width):
    document, console = open_page(page, tmp_path / "browser", CHECK, width)
    assert console == []
    found = json.loads(html.unescape(re.search(r'<pre id="check">(.*?)</pre>', document, re.S)[1]))
    assert [image[0] for image in found["images"]] == [True, True]
    assert all(image[1] > 100 for image in found["images"])
    assert [image[2] for image in found["images"]] == ["Curves", "Quarters, L2"]
    assert found["wide"] <= 0  # wide tables scroll within themselves
    assert found["sorted"] == "My model"
    assert found["before"][1][1:] == ["FGM", "DDN", "All L2 attacks"]
    assert "10.00 / 50%" in document


def test_error_of_the_page_is_noticed(page, tmp_path):
    _, console = open_page(page, tmp_path / "browser", "missing();")
    assert any("missing is not defined" in message for message in console)


def test_rows_are_sorted_by_number_not_by_text(page, tmp_path):
    ten, two = (
        'data-sort="10.0" data-model="cnn">10.00 / 50%',
        'data-sort="2.0" data-model="cnn">2.00 / 50%',
    )
    assert ten in page.read_text(encoding="utf-8")
    altered = page.read_text(encoding="utf-8").replace(ten, two, 1)
    copy = tmp_path / "copy.html"
    copy.write_text(altered, encoding="utf-8")
    script = CHECK.replace("click(0, 3)", "click(0, 1)")
    document, console = open_page(copy, tmp_path / "browser", script)
    assert console == []
    found = json.loads(html.unescape(re.search(r'<pre id="check">(.*?)</pre>', document, re.S)[1]))
    assert found["up"][1][1] == "FGM"  # 2, before 10
    assert found["down"][1][-1] == "FGM"
    assert found["up"][0] == found["down"][0] == ["Clean"]


def test_table_1_is_sorted_by_medians():
    table = robustness_table(frames()["table1"], LABELS)
    assert [title for title, _ in table.groups] == ["", "L2 (ε = 1.5)", "L∞ (ε = 0.3)", "L0 (ε = 12)"]
    assert [cell.sort for cell in table.groups[1][1][0]] == ["FGM", 10.0, 9.0, 1e308]
    assert [cell.sort for cell in table.groups[0][1][0]] == ["Clean", 99.0, 99.0, 99.0]


def test_missing_values_are_shown_as_dashes():
    frame = pd.DataFrame({"model": ["cnn", "x"], "n": [3, 4], "median_steps": [float("nan"), 1234.6]})
    table = distal_table(frame, LABELS)
    assert table.header == ["model", "ascents", "steps"]
    assert [[cell.text for cell in row] for row in table.groups[0][1]] == [
        ["CNN", "3", "–"],
        ["x", "4", "1235"],
    ]
    assert table.groups[0][1][0][2].sort is None


def test_numbers_are_formatted_and_sorted_by_value():
    row = runtime_table(RUNTIME).groups[0][1][0]
    assert [(cell.text, cell.sort) for cell in row] == [
        ("attack", "attack"), ("4", 4), ("90.0 s", 90), ("60.0 s", 60), ("512", 512.4),
    ]  # fmt: skip
    minutes = runtime_table(RUNTIME.assign(seconds=7000.0, longest=36000.0)).groups[0][1][0]
    assert [cell.text for cell in minutes[2:4]] == ["117 min", "10.0 h"]
    assert Field("x", "x").cell(INF).text == "∞"


def test_attacks_have_their_titles():
    table = attacks_table(statistics(), LABELS, TITLES)
    assert [cell.text for cell in table.groups[0][1][0]][:3] == ["L2", "FGM", "CNN"]
    assert table.groups[0][1][0][8].text == "16.0 s"
    assert table.textual == [True] * 3 + [False] * 6 + [True]


def test_attacks_are_shown_with_how_near_they_come_to_the_best():
    key = {name: statistics()[name].iloc[0] for name in ("model", "norm", "attack")}
    optimality = pd.DataFrame([{**key, "optimality": 0.91234, "excess": INF, "alone": 3, "needed": 1}])
    both = {"attacks": statistics(), "optimality": optimality}
    ((_, table),) = report_tables(both, LABELS, TITLES, EPSILONS)["attacks"]
    shown = dict(zip(table.header, table.groups[0][1][0], strict=True))
    titles = ("optimality", "median excess", "best by far", "needed")
    assert [shown[title].text for title in titles] == ["0.912", "∞", "3", "yes"]
    others = [dict(zip(table.header, row, strict=True)) for row in table.groups[0][1][1:]]
    assert others
    assert {row["optimality"].text for row in others} == {"–"}


def test_an_empty_table_has_a_header_alone():
    table = flat_table(pd.DataFrame(columns=["model"]), [Field("model", "model"), Field("n", "n")])
    assert table.header == ["model"]
    assert table.groups == [("", [])]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workflow" / "report").glob("*.rst")), ids=lambda path: path.stem
)
def test_captions_can_be_rendered(path, tmp_path):
    drawing = tmp_path / "drawing.svg"
    drawing.write_text("<svg/>", encoding="utf-8")
    config = {**shipped(), "distal": {"confidence": 0.9, "steps": 7}}
    figure = Figure.read(drawing, path, config=config, section="minimal", title="T", wildcards={"norm": "l2"})
    assert "system-message" not in figure.caption
    assert "{{" not in figure.caption
    assert len(figure.caption) > 100


@pytest.mark.parametrize(("cell", "said"), [("1.50 / 50%", False), ("1.50 / 50% ‡", True)])
def test_a_mark_in_table_1_is_explained_above_it(cell, said):
    table1 = pd.DataFrame({"norm": ["L2"], "attack": ["DDN"], "CNN": [cell]})
    ((title, _),) = report_tables({"table1": table1}, LABELS, TITLES, EPSILONS)["minimal"]
    assert (NEAR_BOUND_NOTE in title) == said
