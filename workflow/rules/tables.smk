rule robustness:
    input:
        summaries=[run(f"minimal/{model}/{norm}.csv") for model, norm in ATTACKED],
        code=package("log", "atomic"),
    output:
        table=run("tables/robustness.csv"),
    log:
        run("logs/robustness.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/robustness.py"


rule models:
    input:
        calibrations=[run(f"models/{model}/calibration.json") for model in PLAN.models],
        code=package("models.constants", "log", "atomic"),
    output:
        table=run("tables/models.csv"),
    log:
        run("logs/models.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/models.py"


rule table1:
    input:
        robustness=run("tables/robustness.csv"),
        summaries=[run(f"minimal/{model}/{norm}.csv") for model, norm in ATTACKED],
        code=package("tables", "log", "atomic"),
    output:
        markdown=run("tables/table1.md"),
        csv=run("tables/table1.csv"),
        latex=run("tables/table1.tex"),
    log:
        run("logs/table1.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        attacks={
            norm: {name: entry.norms[norm] for name, entry in PLAN.attacks.items() if norm in entry.norms}
            for norm in PLAN.norms
        },
        thresholds=config["thresholds"],
    script:
        "../../scripts/table1.py"


rule distortion_curves:
    input:
        minimal=[run(f"minimal/{model}/{norm}.h5") for model, norm in ATTACKED],
        code=package("reduction", "records", "log", "atomic"),
    output:
        curves=run("tables/accuracy_distortion.csv"),
    log:
        run("logs/distortion_curves.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/distortion_curves.py"
