rule tabulate_minima:
    input:
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        summaries=OUTPUTS.of_attacked("minimal/{model}/{norm}.csv"),
        brackets=OUTPUTS.bracket_tables("bracket_medians"),
        code=code("tables/tabulate_minima"),
    output:
        robustness=run("tables/robustness.csv"),
        distances=run("tables/distances.csv"),
        curves=run("tables/accuracy_distortion.csv"),
        pairs=run("tables/pairs.csv"),
        confusion=run("tables/confusion.csv"),
        markdown=run("tables/table1.md"),
        csv=run("tables/table1.csv"),
        latex=run("tables/table1.tex"),
    log:
        run("logs/tabulate_minima.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=PLAN.labels,
        attacks=PLAN.attack_titles,
        epsilons=config["epsilons"],
        of_paper=[name for name in PLAN.attacks if name in PAPER],
    script:
        "../../scripts/tables/tabulate_minima.py"


rule audit_attacks:
    input:
        shards=OUTPUTS.all_shards,
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        code=code("tables/audit_attacks"),
    output:
        table=run("tables/audit.csv"),
        optimality=run("tables/optimality.csv"),
        attacks=run("tables/attacks.csv"),
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
