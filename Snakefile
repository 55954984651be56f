from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/attacks.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        run("tables/robustness.csv"),
        run("tables/table1.md"),
        run("tables/models.csv"),
        run("figures/accuracy_distortion.png"),


rule train:
    input:
        [run(path) for model in [*PLAN.models.values(), PLAN.substitute] for path in model.weights],


onsuccess:
    report_results(run("tables/table1.md"), run("figures"))
