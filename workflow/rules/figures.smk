rule accuracy_distortion:
    input:
        curves=run("tables/accuracy_distortion.csv"),
        code=package("figures.accuracy_distortion", "log"),
    output:
        png=run("figures/accuracy_distortion.png"),
        svg=run("figures/accuracy_distortion.svg"),
    log:
        run("logs/accuracy_distortion.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        norms=PLAN.norms,
        thresholds=config["thresholds"],
    script:
        "../../scripts/accuracy_distortion.py"
