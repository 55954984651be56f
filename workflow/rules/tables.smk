rule gather_robustness:
    input:
        parts=[run(f"minimal/{model}/{norm}.csv") for model, norm in ATTACKED],
        code=sources("tables/gather_robustness"),
    output:
        table=run("tables/robustness.csv"),
    log:
        run("logs/gather_robustness.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        columns=["model", "norm", "attack", "median", "accuracy", "n"],
    script:
        "../../scripts/tables/gather_robustness.py"


rule audit_attacks:
    input:
        shards=ALL_SHARDS,
        code=sources("tables/audit_attacks"),
    output:
        table=run("tables/audit.csv"),
    log:
        run("logs/audit_attacks.log"),
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
        "../../scripts/tables/audit_attacks.py"


rule gather_models:
    input:
        calibrations=[run(f"models/{model}/calibration.json") for model in PLAN.models],
        code=sources("tables/gather_models"),
    output:
        table=run("tables/models.csv"),
    log:
        run("logs/gather_models.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/tables/gather_models.py"


rule format_table1:
    input:
        robustness=run("tables/robustness.csv"),
        summaries=[run(f"minimal/{model}/{norm}.csv") for model, norm in ATTACKED],
        brackets=run("tables/bracket_medians.csv"),
        code=sources("tables/format_table1"),
    output:
        markdown=run("tables/table1.md"),
        csv=run("tables/table1.csv"),
        latex=run("tables/table1.tex"),
    log:
        run("logs/format_table1.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        attacks=ATTACK_TITLES,
        epsilons=config["epsilons"],
    script:
        "../../scripts/tables/format_table1.py"


rule compute_distortion_curves:
    input:
        minimal=[run(f"minimal/{model}/{norm}.h5") for model, norm in ATTACKED],
        code=sources("tables/compute_distortion_curves"),
    output:
        curves=run("tables/accuracy_distortion.csv"),
    log:
        run("logs/compute_distortion_curves.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/tables/compute_distortion_curves.py"


rule gather_distances:
    input:
        minimal=[run(f"minimal/{model}/{norm}.h5") for model, norm in ATTACKED],
        code=sources("tables/gather_distances"),
    output:
        table=run("tables/distances.csv"),
    log:
        run("logs/gather_distances.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/tables/gather_distances.py"


rule summarize_attacks:
    input:
        shards=ALL_SHARDS,
        minimal=[run(f"minimal/{model}/{norm}.h5") for model, norm in ATTACKED],
        code=sources("tables/summarize_attacks"),
    output:
        table=run("tables/attacks.csv"),
    log:
        run("logs/summarize_attacks.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/tables/summarize_attacks.py"
