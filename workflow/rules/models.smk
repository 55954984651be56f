PUBLISHED = config["published_weights"]
IMPORTED = [name for name in [*PLAN.models, "substitute"] if PUBLISHED and planned(name).kind.published]
TRAINED = [
    name
    for name in [*PLAN.models, "substitute"]
    if planned(name).kind.trainer == "classifier" and name not in IMPORTED
]


def published_file(name):
    return f"{PUBLISHED}/{name}"


if PUBLISHED:

    rule import_vae:
        input:
            weights=published_file("ABS_{label}.net"),
            code=package("models.vae", "models.weights", "log"),
        output:
            weights=run("models/abs/vae_{label}.pt"),
        log:
            run("logs/import_vae/{label}.log"),
        script:
            "../../scripts/import_vae.py"

    rule import_classifier:
        input:
            weights=lambda wildcards: published_file(planned(wildcards.model).kind.published),
            code=package("models.cnn", "log"),
        output:
            weights=run("models/{model}/weights.pt"),
        params:
            network=lambda wildcards: planned(wildcards.model).network,
        wildcard_constraints:
            model="|".join(IMPORTED) or "none",
        log:
            run("logs/import_classifier/{model}.log"),
        script:
            "../../scripts/import_classifier.py"

else:

    rule train_vae:
        input:
            images=run("data/train.h5"),
            code=package("training.vae", "models.weights", "data.splits", "devices"),
        output:
            weights=run("models/abs/vae_{label}.pt"),
            curve=run("models/abs/vae_{label}.csv"),
        params:
            label=lambda wildcards: int(wildcards.label),
            settings=config["vae"],
            seed=config["seed"],
            checkpoint=lambda wildcards: run(f"checkpoints/vae_{wildcards.label}.pt"),
        log:
            run("logs/train_vae/{label}.log"),
        benchmark:
            run("benchmarks/train_vae/{label}.tsv")
        threads: config["threads"]["train"]
        resources:
            gpu=1,
        script:
            "../../scripts/train_vae.py"


rule train_classifier:
    input:
        images=run("data/train.h5"),
        code=package("training.classifier", "models.cnn", "data.splits", "devices"),
    output:
        weights=run("models/{model}/weights.pt"),
        curve=run("models/{model}/curve.csv"),
    params:
        network=lambda wildcards: planned(wildcards.model).network,
        settings=lambda wildcards: planned(wildcards.model).training,
        seed=config["seed"],
        checkpoint=lambda wildcards: run(f"checkpoints/{wildcards.model}.pt"),
    wildcard_constraints:
        model="|".join(TRAINED) or "none",
    log:
        run("logs/train_classifier/{model}.log"),
    benchmark:
        run("benchmarks/train_classifier/{model}.tsv")
    threads: config["threads"]["train"]
    resources:
        gpu=1,
    script:
        "../../scripts/train_classifier.py"


def uncalibrated_inputs(name):
    """What calibration reads: the model's files without the γ that it is to find."""
    return [path for path in model_inputs(name) if not path.endswith("calibration.json")]


rule calibrate:
    input:
        train=run("data/train.h5"),
        calibration=run("data/calibration.h5"),
        test=run("data/test.h5"),
        model=lambda wildcards: uncalibrated_inputs(wildcards.model),
        code=lambda wildcards: model_package(
            wildcards.model, "calibration", "models.files", "data.splits", "devices"
        ),
    output:
        calibration=run("models/{model}/calibration.json"),
    params:
        folder=run(""),
        spec=lambda wildcards: PLAN.model_spec(wildcards.model),
        gamma_images=lambda wildcards: planned(wildcards.model).entry.get("gamma_images"),
    log:
        run("logs/calibrate/{model}.log"),
    benchmark:
        run("benchmarks/calibrate/{model}.tsv")
    threads: config["threads"]["calibrate"]
    resources:
        gpu=1,
    script:
        "../../scripts/calibrate.py"
