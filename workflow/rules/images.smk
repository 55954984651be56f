rule distal:
    input:
        train=run("data/train.h5"),
        calibration=run("models/{model}/calibration.json"),
        model=lambda wildcards: model_inputs(wildcards.model),
        code=lambda wildcards: model_package(
            wildcards.model, "distal", "records", "data.splits", "devices", "models.files"
        ),
    output:
        distal=run("distal/{model}.h5"),
    log:
        run("logs/distal/{model}.log"),
    benchmark:
        run("benchmarks/distal/{model}.tsv")
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(60),
    params:
        run=config["run"],
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: PLAN.model_spec(wildcards.model),
        labels=config["distal"]["labels"],
        seeds=[config["seed"] + i for i in range(config["distal"]["seeds"])],
        confidence=config["distal"]["confidence"],
        ascent={key: config["distal"][key] for key in ("steps", "step_size", "momentum")},
    script:
        "../../scripts/distal.py"


rule distal_table:
    input:
        distal=[run(f"distal/{model}.h5") for model in CLIMBED],
        code=package("statistics", "records", "log"),
    output:
        table=run("tables/distal.csv"),
    log:
        run("logs/distal_table.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/distal_table.py"


rule draw_samples:
    input:
        model=lambda wildcards: model_inputs(GENERATIVE[0]),
        code=lambda wildcards: model_package(GENERATIVE[0], "synthesis", "records", "devices", "models.files"),
    output:
        samples=run("synthesis/samples.h5"),
    log:
        run("logs/draw_samples.log"),
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(30),
    params:
        run=config["run"],
        model=lambda wildcards: GENERATIVE[0],
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: PLAN.model_spec(GENERATIVE[0]),
        n=config["figures"]["prior_samples"],
        seed=config["seed"],
    script:
        "../../scripts/draw_samples.py"


rule reconstruct:
    input:
        images=run("data/test.h5"),
        minimal=lambda wildcards: run(f"minimal/{wildcards.model}/{shown_norm([wildcards.model])}.h5"),
        model=lambda wildcards: model_inputs(wildcards.model),
        code=lambda wildcards: model_package(
            wildcards.model, "synthesis", "selection", "records", "data.splits", "devices", "models.files"
        ),
    output:
        reconstructions=run("synthesis/reconstructions/{model}.h5"),
    log:
        run("logs/reconstruct/{model}.log"),
    wildcard_constraints:
        model="|".join(GENERATIVE) or "none",
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(30),
    params:
        run=config["run"],
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: PLAN.model_spec(wildcards.model),
        seed=config["seed"],
    script:
        "../../scripts/reconstruct.py"
