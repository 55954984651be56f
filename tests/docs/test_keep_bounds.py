"""docs/results/keep_bounds.py: columns of proved bounds, rounded down."""

import csv
import gzip

import keep_bounds


def rows(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def test_columns_are_added_and_replaced(tmp_path):
    first, place = tmp_path / "first.csv", tmp_path / "bounds.csv.gz"
    first.write_text("0.0,1.0,1.999999,nan,32,1,1,0\n2.0,0.0,0.0,nan,0,1,1,0\n7.0,1.0,13.0,nan,0,1,1,0\n")
    keep_bounds.main({"mine": first}, place)
    found = rows(place)
    assert len(found) == 10_000
    assert [found[i]["mine"] for i in (0, 1, 2, 7)] == ["1.99999", "not computed", "", "13"]
    before = place.read_bytes()
    first.write_text("1.0,1.0,0.123456,nan,32,1,1,0\n")
    keep_bounds.main({"other": first}, place)
    assert [rows(place)[i] for i in (0, 1)] == [
        {"index": "0", "mine": "1.99999", "other": "not computed"},
        {"index": "1", "mine": "not computed", "other": "0.12345"},
    ]
    place.write_bytes(before)
    keep_bounds.main({"mine": first}, place)
    assert rows(place)[1] == {"index": "1", "mine": "0.12345"}
