#!/usr/bin/env bash
# Guess: `--quiet rules` says what Snakemake itself prints. A logger plugin is handed all records, as it must be to keep
#   count of jobs: which have started, which have ended.
# Seen: Snakemake 9.27.1. Unless the plugin says `has_filter = True`, Snakemake filters what it hands on by --quiet: the
#   starts of jobs (JOB_INFO) are left out, while their ends (JOB_FINISHED) arrive, of jobs that never started.
# A plugin that looks up a job when it ends must not rely on having been told of it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet snakemake==9.27.1

for filter in False True; do
    package=$(environment/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
    mkdir "$package/snakemake_logger_plugin_filter_${filter,,}"
    cat > "$package/snakemake_logger_plugin_filter_${filter,,}/__init__.py" <<PYTHON
from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    has_filter = $filter
    writes_to_stream = writes_to_file = has_formatter = needs_rulegraph = False

    def emit(self, record):
        event = getattr(record, "event", None)
        if event is not None and event.name in ("JOB_INFO", "JOB_FINISHED"):
            with open("$folder/events", "a") as file:
                print(event.name, end=" ", file=file)
PYTHON
done

cat > Snakefile <<'SNAKEFILE'
rule only:
    output: "only.txt"
    shell: "touch {output}"
SNAKEFILE

show() {
    rm -f only.txt events
    environment/bin/snakemake --cores 1 "$@" > log 2>&1
    echo "$*: $(cat events)"
}
{
    show --logger filter-false
    show --logger filter-false --quiet rules
    show --logger filter-true --quiet rules
} | tee seen
cat > expected <<'TEXT'
--logger filter-false: JOB_INFO JOB_FINISHED 
--logger filter-false --quiet rules: JOB_FINISHED 
--logger filter-true --quiet rules: JOB_INFO JOB_FINISHED 
TEXT
diff expected seen || { cat log >&2; echo "this has changed" >&2; exit 1; }
