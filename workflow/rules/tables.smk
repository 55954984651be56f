rule gather_robustness:
    input:
        parts=OUTPUTS.of_attacked("minimal/{model}/{norm}.csv"),
        code=code("tables/gather_robustness"),
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
        shards=OUTPUTS.all_shards,
        code=code("tables/audit_attacks"),
    output:
        table=run("tables/audit.csv"),
        optimality=run("tables/optimality.csv"),
    log:
        run("logs/audit_attacks.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        roles=PLAN.audit_roles,
        limits=config["audit"],
    script:
        "../../scripts/tables/audit_attacks.py"


rule gather_models:
    input:
        calibrations=OUTPUTS.calibrations,
        probes=[OUTPUTS.probe(model) for model in PLAN.models],
        code=code("tables/gather_models"),
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
        summaries=OUTPUTS.of_attacked("minimal/{model}/{norm}.csv"),
        brackets=run("tables/bracket_medians.csv"),
        code=code("tables/format_table1"),
    output:
        markdown=run("tables/table1.md"),
        csv=run("tables/table1.csv"),
        latex=run("tables/table1.tex"),
    log:
        run("logs/format_table1.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=PLAN.labels,
        attacks=PLAN.attack_titles,
        epsilons=config["epsilons"],
        of_paper=[name for name in PLAN.attacks if name in PAPER],
    script:
        "../../scripts/tables/format_table1.py"


rule compute_distortion_curves:
    input:
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        code=code("tables/compute_distortion_curves"),
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
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        code=code("tables/gather_distances"),
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
        shards=OUTPUTS.all_shards,
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        code=code("tables/summarize_attacks"),
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
