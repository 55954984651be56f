rule accuracy_distortion:
    input:
        curves=run("tables/accuracy_distortion.csv"),
        brackets=run("tables/bracket_curves.csv"),
        code=package("figures.accuracy_distortion", "log"),
    output:
        png=drawn("accuracy_distortion"),
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


rule adversarials:
    input:
        images=run("data/test.h5"),
        minimal=lambda wildcards: minima_in(shown_norm(PLAN.models)),
        code=package("figures.adversarials", "data.splits", "records", "log"),
    output:
        png=drawn("adversarials"),
        svg=run("figures/adversarials.svg"),
    log:
        run("logs/adversarials.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=LABELS,
        norm=lambda wildcards: shown_norm(PLAN.models),
        n_samples=config["n_samples"],
        seed=config["seed"],
    script:
        "../../scripts/adversarials.py"


rule quantiles:
    input:
        minimal=lambda wildcards: minima_in(wildcards.norm),
        code=package("figures.adversarials", "records", "log"),
    output:
        png=drawn("quantiles", "quantiles_{norm}"),
        svg=run("figures/quantiles_{norm}.svg"),
    log:
        run("logs/quantiles/{norm}.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=LABELS,
        n=config["figures"]["per_quantile"],
        seed=config["seed"],
    script:
        "../../scripts/quantiles.py"


rule distribution:
    input:
        distances=run("tables/distances.csv"),
        code=package("figures.distribution", "log"),
    output:
        png=drawn("distribution"),
        svg=run("figures/distribution.svg"),
    log:
        run("logs/distribution.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        norms=PLAN.norms,
        thresholds=config["thresholds"],
    script:
        "../../scripts/distribution.py"


rule distal_figure:
    input:
        distal=[run(f"distal/{model}.h5") for model in CLIMBED],
        table=run("tables/distal.csv"),
        code=package("figures.distal", "records", "log"),
    output:
        png=drawn("distal"),
        svg=run("figures/distal.svg"),
    log:
        run("logs/distal_figure.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=LABELS,
    script:
        "../../scripts/distal_figure.py"


rule samples:
    input:
        samples=run("synthesis/samples.h5"),
        code=package("figures.synthesis", "records", "log"),
    output:
        png=drawn("samples"),
        svg=run("figures/samples.svg"),
    log:
        run("logs/samples.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/samples.py"


rule reconstructions:
    input:
        reconstructions=[run(f"synthesis/reconstructions/{model}.h5") for model in EXPLAINED],
        code=package("figures.synthesis", "records", "log"),
    output:
        png=drawn("reconstructions"),
        svg=run("figures/reconstructions.svg"),
    log:
        run("logs/reconstructions.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=LABELS,
    script:
        "../../scripts/reconstructions.py"


rule attacks_figure:
    input:
        statistics=run("tables/attacks.csv"),
        code=package("figures.attacks", "log"),
    output:
        png=drawn("attacks"),
        svg=run("figures/attacks.svg"),
    log:
        run("logs/attacks_figure.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        norms=NORMS_ATTACKED,
        titles=ATTACK_TITLES,
    script:
        "../../scripts/attacks_figure.py"


rule training:
    input:
        classifiers=[run(f"models/{model}/curve.csv") for model in CURVES],
        vaes=[run(f"models/abs/vae_{label}.csv") for label in VAE_CURVES],
        code=package("figures.training", "log"),
    output:
        png=drawn("training"),
        svg=run("figures/training.svg"),
    log:
        run("logs/training.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        trained=CURVES,
        labels=VAE_CURVES,
    script:
        "../../scripts/training.py"


rule draw_bracket:
    input:
        intervals=run("tables/bracket.csv"),
        curves=run("tables/bracket_curves.csv"),
        code=package("figures.bracket", "log"),
    output:
        png=drawn("bracket"),
        svg=run("figures/bracket.svg"),
    log:
        run("logs/draw_bracket.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=LABELS,
        norms=PLAN.norms,
    script:
        "../../scripts/draw_bracket.py"
