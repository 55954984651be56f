rule plot_accuracy_distortion:
    input:
        curves=run("tables/accuracy_distortion.csv"),
        brackets=OUTPUTS.bracket_tables("bracket_curves"),
        code=code("figures/plot_accuracy_distortion"),
    output:
        png=drawn("accuracy_distortion"),
        svg=run("figures/accuracy_distortion.svg"),
    log:
        run("logs/plot_accuracy_distortion.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=PLAN.labels,
        norms=PLAN.norms,
        epsilons=config["epsilons"],
    script:
        "../../scripts/figures/plot_accuracy_distortion.py"


rule plot_adversarials:
    input:
        images=run("data/test.h5"),
        minimal=lambda wildcards: OUTPUTS.minima(PLAN.shown_norm(PLAN.models)),
        code=code("figures/plot_adversarials"),
    output:
        png=drawn("adversarials"),
        svg=run("figures/adversarials.svg"),
    log:
        run("logs/plot_adversarials.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=PLAN.labels,
        norm=lambda wildcards: PLAN.shown_norm(PLAN.models),
        n_samples=config["n_samples"],
        seed=config["seed"],
    script:
        "../../scripts/figures/plot_adversarials.py"


rule plot_quantiles:
    input:
        images=run("data/test.h5"),
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        code=code("figures/plot_quantiles"),
    output:
        png=[drawn("quantiles", f"quantiles_{norm}", norm=norm) for norm in PLAN.norms_attacked],
        svg=[run(f"figures/quantiles_{norm}.svg") for norm in PLAN.norms_attacked],
    log:
        run("logs/plot_quantiles.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=PLAN.labels,
        norms=PLAN.norms_attacked,
        n=config["figures"]["per_quantile"],
        n_samples=config["n_samples"],
        seed=config["seed"],
    script:
        "../../scripts/figures/plot_quantiles.py"


rule plot_distribution:
    input:
        distances=run("tables/distances.csv"),
        code=code("figures/plot_distribution"),
    output:
        png=drawn("distribution"),
        svg=run("figures/distribution.svg"),
    log:
        run("logs/plot_distribution.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=PLAN.labels,
        norms=PLAN.norms,
        epsilons=config["epsilons"],
    script:
        "../../scripts/figures/plot_distribution.py"


rule plot_distal:
    input:
        distal=[run(f"distal/{model}.h5") for model in PLAN.differentiable],
        table=run("tables/distal.csv"),
        code=code("figures/plot_distal"),
    output:
        png=drawn("distal"),
        svg=run("figures/distal.svg"),
    log:
        run("logs/plot_distal.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=PLAN.labels,
    script:
        "../../scripts/figures/plot_distal.py"


rule plot_samples:
    input:
        samples=run("synthesis/samples.h5"),
        code=code("figures/plot_samples"),
    output:
        png=drawn("samples"),
        svg=run("figures/samples.svg"),
    log:
        run("logs/plot_samples.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/figures/plot_samples.py"


rule plot_reconstructions:
    input:
        reconstructions=[run(f"synthesis/reconstructions/{model}.h5") for model in PLAN.reconstructed],
        code=code("figures/plot_reconstructions"),
    output:
        png=drawn("reconstructions"),
        svg=run("figures/reconstructions.svg"),
    log:
        run("logs/plot_reconstructions.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
        models=PLAN.labels,
    script:
        "../../scripts/figures/plot_reconstructions.py"


rule plot_attacks:
    input:
        statistics=run("tables/attacks.csv"),
        code=code("figures/plot_attacks"),
    output:
        png=drawn("attacks"),
        svg=run("figures/attacks.svg"),
    log:
        run("logs/plot_attacks.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=PLAN.labels,
        norms=PLAN.norms_attacked,
        titles=PLAN.attack_titles,
    script:
        "../../scripts/figures/plot_attacks.py"


rule plot_training:
    input:
        classifiers=[run(f"models/{model}/curve.csv") for model in PLAN.classifier_curves],
        vaes=[run(f"models/abs/vae_{label}.csv") for label in PLAN.vae_curves],
        code=code("figures/plot_training"),
    output:
        png=drawn("training"),
        svg=run("figures/training.svg"),
    log:
        run("logs/plot_training.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=PLAN.labels,
        trained=PLAN.classifier_curves,
        labels=PLAN.vae_curves,
    script:
        "../../scripts/figures/plot_training.py"


rule plot_bracket:
    input:
        intervals=run("tables/bracket.csv"),
        curves=run("tables/bracket_curves.csv"),
        code=code("figures/plot_bracket"),
    output:
        png=drawn("bracket"),
        svg=run("figures/bracket.svg"),
    log:
        run("logs/plot_bracket.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models=PLAN.labels,
        norms=PLAN.norms,
    script:
        "../../scripts/figures/plot_bracket.py"
