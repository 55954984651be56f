from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/attacks.smk"
include: "workflow/rules/certificates.smk"
include: "workflow/rules/verification.smk"
include: "workflow/rules/synthesis.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        weights_there,
        OUTPUTS.records,
        run("tables/robustness.csv"),
        run("tables/table1.md"),
        run("tables/models.csv"),
        run("tables/verification.csv"),
        run("tables/audit.csv"),
        run("tables/bounds.csv") if PLAN.bounded else [],
        OUTPUTS.bracket_tables("bracket", "bracket_medians", "bracket_curves", "bound_violations"),
        run("tables/provenance.json"),
        OUTPUTS.figure_files("png"),
        run("report.html"),


rule train:
    input:
        OUTPUTS.weights,


rule verify:
    input:
        OUTPUTS.attack_records,
        run("tables/verification.csv"),


rule audit:
    input:
        OUTPUTS.all_shards,
        run("tables/audit.csv"),


rule certificates:
    input:
        certificate_files,


rule report:
    input:
        OUTPUTS.records,
        run("report.html"),


onstart:
    drop_default_rate_limit(workflow.scheduler)
    watch_scheduler()


onsuccess:
    report_results(run(""))
