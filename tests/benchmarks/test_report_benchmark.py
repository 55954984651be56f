"""The program that measures the report: it opens, filters and clicks."""

import report


def test_a_report_is_written_opened_filtered_and_clicked():
    found = report.main(20, None)
    assert found["images"] == 20
    assert 0 < found["megabytes"] < 2
    assert min(found[name] for name in ("written_s", "opened_s", "filtered_s", "clicked_s")) > 0
