"""benchmarks/python_api.py: both calls run the same steps on the same model, and the table says so."""

import python_api


def test_each_line_compares_the_two_calls():
    settings = ["--models", "colour", "--frozen", "no", "--images", "2", "--steps", "3", "--pairs", "1"]
    lines = python_api.main(python_api.parse(settings))
    assert [(line["attack"], line["refine"]) for line in lines] == [
        ("ddn", 0),
        ("ddn", 10),
        ("fmn", 0),
        ("fmn", 10),
    ]
    for line in lines:
        assert float(line["ratio"]) > 0
        assert line["frozen"] == "no"
    text = python_api.table(lines).splitlines()
    assert len(text) == 2 + len(lines)
    assert text[0].startswith("| model | frozen | attack | norm | refine | Foolbox | absynth | ratio |")
