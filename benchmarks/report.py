"""How large the report of a large run is, how long it takes to write, and how fast it opens and filters.

    python benchmarks/report.py [--images 1000] [--figures DIR]

Six models in three norms, with made-up adversarials of that many MNIST images of resources/mnist-sample, noisy as
those of attacks, and reconstructions of all. Prints one line of JSON: the CPU seconds that writing the page takes,
its megabytes, and, in a headless Chromium, the CPU seconds of the page's main thread until it has opened, for a
filter that keeps all images, and for a click on one. DIR has figures as SVG that the page embeds as well,
results/quickstart/figures say.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from devtools import browser_page
from made_up_run import made_up_report
from scripts.report.write_report import main as write_report

FILTER = """
    const select = document.querySelector('#filters [name=order]');
    select.value = 'up';
    select.dispatchEvent(new Event('change', {bubbles: true}));
    document.body.offsetHeight;
"""
CLICK = """(async () => {
    document.querySelector('#thumbs [data-row]').click();
    while (!document.querySelector('#detail canvas')) await new Promise((done) => setTimeout(done, 1));
})()"""


def main(n: int, figures: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = made_up_report(folder, n, drawings=sorted(figures.glob("*.svg")) if figures else [])
        begin = time.process_time()
        write_report(**content)
        written = time.process_time() - begin
        found = {"images": n, "written_s": written, "megabytes": content["report"].stat().st_size / 1e6}
        with browser_page(folder / "profile") as page:
            page.resize(390)
            page.open(content["report"])
            seconds = [page.cpu_seconds()]
            for script in (f"{{{FILTER}}}", CLICK):
                page.run(script)
                seconds.append(page.cpu_seconds())
    found |= {
        "opened_s": seconds[0],
        "filtered_s": seconds[1] - seconds[0],
        "clicked_s": seconds[2] - seconds[1],
    }
    return {name: round(value, 3) for name, value in found.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--figures", type=Path, metavar="DIR")
    options = parser.parse_args()
    print(json.dumps(main(options.images, options.figures)))
