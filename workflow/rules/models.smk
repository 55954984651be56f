if PLAN.imported_vaes:

    rule import_vaes:
        input:
            weights=list(PLAN.imported_vaes.values()),
            code=code("models/import_vaes"),
        output:
            weights=[run(path) for path in PLAN.imported_vaes],
        log:
            run("logs/import_vaes.log"),
        conda:
            "../../envs/absynth.yaml"
        params:
            content=lambda wildcards, input: contents(input.weights),
        script:
            "../../scripts/models/import_vaes.py"

else:

    rule train_vae:
        input:
            images=run("data/train.h5"),
            code=code("models/train_vae"),
        output:
            weights=run(f"{OUTPUTS.trained_vaes}/vae_{{label}}.pt"),
            curve=run(f"{OUTPUTS.trained_vaes}/vae_{{label}}.csv"),
        log:
            run("logs/train_vae/{label}.log"),
        benchmark:
            run("benchmarks/train_vae/{label}.tsv")
        conda:
            "../../envs/absynth.yaml"
        threads: config["threads"]["train"]
        resources:
            gpu=1,
            torch_threads=config["threads"]["train"],
            mem_mb=scaled(4000),
            runtime=scaled(120),
        params:
            label=lambda wildcards: int(wildcards.label),
            settings={key: value for key, value in config["vae"].items() if key != "refine"},
            seed=config["seed"],
            checkpoint=lambda wildcards: run(f"checkpoints/vae_{wildcards.label}.pt"),
        script:
            "../../scripts/models/train_vae.py"

    if config["vae"]["refine"]:

        rule refine_vae:
            input:
                images=run("data/train.h5"),
                unrefined=run(f"{OUTPUTS.trained_vaes}/vae_{{label}}.pt"),
                unrefined_curve=run(f"{OUTPUTS.trained_vaes}/vae_{{label}}.csv"),
                code=code("models/refine_vae"),
            output:
                weights=run("models/abs/vae_{label}.pt"),
                curve=run("models/abs/vae_{label}.csv"),
            log:
                run("logs/refine_vae/{label}.log"),
            benchmark:
                run("benchmarks/refine_vae/{label}.tsv")
            conda:
                "../../envs/absynth.yaml"
            threads: config["threads"]["train"]
            resources:
                gpu=1,
                torch_threads=config["threads"]["train"],
                mem_mb=scaled(4000),
                runtime=scaled(120),
            params:
                label=lambda wildcards: int(wildcards.label),
                settings=config["vae"]["refine"],
                seed=config["seed"],
                checkpoint=lambda wildcards: run(f"checkpoints/refined_vae_{wildcards.label}.pt"),
            script:
                "../../scripts/models/refine_vae.py"


rule build_prototypes:
    input:
        images=run("data/train.h5"),
        vaes=lambda wildcards: [run(path) for path in planned(wildcards.model).learned],
        code=code("models/build_prototypes"),
    output:
        weights=run("models/{model}/prototypes.pt"),
    log:
        run("logs/build_prototypes/{model}.log"),
    benchmark:
        run("benchmarks/build_prototypes/{model}.tsv")
    wildcard_constraints:
        model="|".join(PLAN.with_prototypes) or "none",
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["train"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["train"],
        mem_mb=scaled(6000),
        runtime=scaled(60),
    params:
        settings=lambda wildcards: planned(wildcards.model).training,
    script:
        "../../scripts/models/build_prototypes.py"


rule import_classifier:
    input:
        weights=lambda wildcards: PLAN.imported_weights[f"models/{wildcards.model}/weights.pt"],
        images=run("data/test.h5"),
        code=code("models/import_classifier"),
    output:
        weights=run("models/{model}/weights.pt"),
    log:
        run("logs/import_classifier/{model}.log"),
    wildcard_constraints:
        model="|".join(PLAN.imported_classifiers) or "none",
    conda:
        "../../envs/absynth.yaml"
    params:
        network=lambda wildcards: planned(wildcards.model).network,
        content=lambda wildcards, input: contents([input.weights]),
    script:
        "../../scripts/models/import_classifier.py"


rule train_classifier:
    input:
        images=run("data/train.h5"),
        code=code("models/train_classifier"),
    output:
        weights=run("models/{model}/weights.pt"),
        curve=run("models/{model}/curve.csv"),
    log:
        run("logs/train_classifier/{model}.log"),
    benchmark:
        run("benchmarks/train_classifier/{model}.tsv")
    wildcard_constraints:
        model="|".join(PLAN.trained_classifiers) or "none",
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["train"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["train"],
        mem_mb=scaled(4000),
        runtime=scaled(240),
    params:
        network=lambda wildcards: planned(wildcards.model).network,
        binarises=lambda wildcards: planned(wildcards.model).binarises,
        settings=lambda wildcards: planned(wildcards.model).training,
        seed=config["seed"],
        checkpoint=lambda wildcards: run(f"checkpoints/{wildcards.model}.pt"),
    script:
        "../../scripts/models/train_classifier.py"


rule keep_model:
    input:
        files=lambda wildcards: [*planned(wildcards.model).own_files.values()],
        modules=lambda wildcards: [*CODE.own_modules(wildcards.model).values()],
        code=code("models/keep_model"),
    output:
        manifest=run("models/{model}/kept.json"),
        kept=directory(run("models/{model}/kept")),
    log:
        run("logs/keep_model/{model}.log"),
    wildcard_constraints:
        model="|".join(PLAN.own) or "none",
    conda:
        "../../envs/absynth.yaml"
    params:
        named=lambda wildcards: planned(wildcards.model).user_code,
        files=lambda wildcards: planned(wildcards.model).own_files,
        modules=lambda wildcards: CODE.own_modules(wildcards.model),
        content=lambda wildcards: CODE.content(model=wildcards.model),
    script:
        "../../scripts/models/keep_model.py"


rule probe_model:
    input:
        images=run("data/test.h5"),
        model=lambda wildcards: OUTPUTS.uncalibrated_model_files(wildcards.model),
        code=lambda wildcards: code("models/probe_model", model=wildcards.model),
    output:
        probe=run("models/{model}/probe.json"),
    log:
        run("logs/probe_model/{model}.log"),
    priority: 100  # a fault should stop the run before it has spent anything
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["calibrate"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["calibrate"],
        mem_mb=scaled(6000),
        runtime=scaled(15),
    params:
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: {**PLAN.probe_spec(wildcards.model), **CODE.content(model=wildcards.model)},
        gradients=lambda wildcards: planned(wildcards.model).gradients,
        binarises=lambda wildcards: planned(wildcards.model).binarises,
        n=lambda wildcards: PLAN.probe_images(wildcards.model),
    script:
        "../../scripts/models/probe_model.py"


rule calibrate_model:
    input:
        **{split: run(f"data/{split}.h5") for split in PLAN.splits},
        probe=probed,
        model=lambda wildcards: OUTPUTS.uncalibrated_model_files(wildcards.model),
        code=lambda wildcards: code("models/calibrate_model", model=wildcards.model),
    output:
        calibration=run("models/{model}/calibration.json"),
    log:
        run("logs/calibrate_model/{model}.log"),
    benchmark:
        run("benchmarks/calibrate_model/{model}.tsv")
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["calibrate"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["calibrate"],
        mem_mb=scaled(6000),
        runtime=scaled(60),
    params:
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: CODE.spec(wildcards.model),
        # In one mapping: Snakemake compares the values of params without their names.
        counts=lambda wildcards: {
            "gamma_images": planned(wildcards.model).entry.get("gamma_images"),
            "n_accuracy": config["n_accuracy"],
        },
    script:
        "../../scripts/models/calibrate_model.py"
