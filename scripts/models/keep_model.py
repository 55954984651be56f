"""Keep a user's own model in the run: copies of its weights and of the modules behind its class."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from absynth.io.atomic import write_text
from absynth.io.log import LOGGER, start_log
from absynth.workflow.keeping import describe


def main(
    *,
    manifest: str | os.PathLike[str],
    kept: str | os.PathLike[str],
    named: Mapping[str, str],
    files: Mapping[str, str],
    modules: Mapping[str, str],
) -> None:
    """Copy the files into the folder `kept`, and write to `manifest` what was kept and what could not be.

    named: its code, "module:name" or "file.py:name", by the option of its builder that names it; it is not imported
    files: its files, likewise
    modules: the local modules behind the code, by their paths within the folder they are imported from
    """
    content, sources = describe(named, files, modules)
    shutil.rmtree(kept, ignore_errors=True)
    for place, path in sources.items():
        copy = Path(manifest).parent / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    for module, why in content["missing"].items():
        LOGGER.warning("the module %s is not kept (%s)", module, why)
    LOGGER.info("kept modules: %d; files: %s", len(modules), ", ".join(files) or "none")
    write_text(manifest, json.dumps(content, indent=2, sort_keys=True) + "\n")


if "snakemake" in globals():
    job = globals()["snakemake"]
    start_log(job.log[0])
    main(
        **dict(job.output.items()),
        named=job.params.named,
        files=job.params.files,
        modules=job.params.modules,
    )
