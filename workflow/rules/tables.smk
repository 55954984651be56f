rule robustness:
    input:
        parts=[run(f"minimal/{model}/{norm}.csv") for model, norm in ATTACKED],
        code=package("log", "atomic"),
    output:
        table=run("tables/robustness.csv"),
    log:
        run("logs/robustness.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        columns=["model", "norm", "attack", "median", "accuracy", "n"],
    script:
        "../../scripts/gather.py"


rule audit:
    input:
        shards=ALL_SHARDS,
        code=package("audit", "log", "atomic"),
    output:
        table=run("tables/audit.csv"),
    log:
        run("logs/audit.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        roles={
            name: {
                "gradients": entry.gradients,
                "refines": list(entry.refines),
                "estimates": entry.estimates,
            }
            for name, entry in PLAN.attacks.items()
        },
        limits=config["audit"],
    script:
        "../../scripts/audit.py"


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
        brackets=run("tables/bracket_medians.csv"),
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
        attacks=ATTACK_TITLES,
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


rule distances:
    input:
        minimal=[run(f"minimal/{model}/{norm}.h5") for model, norm in ATTACKED],
        code=package("records", "log", "atomic"),
    output:
        table=run("tables/distances.csv"),
    log:
        run("logs/distances.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/distances.py"


rule attack_statistics:
    input:
        shards=ALL_SHARDS,
        minimal=[run(f"minimal/{model}/{norm}.h5") for model, norm in ATTACKED],
        code=package("statistics", "records", "log", "atomic"),
    output:
        table=run("tables/attacks.csv"),
    log:
        run("logs/attack_statistics.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/attack_statistics.py"
