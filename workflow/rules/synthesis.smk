rule generate_distal:
    input:
        probe=probed,
        train=run("data/train.h5"),
        calibration=run("models/{model}/calibration.json"),
        model=lambda wildcards: OUTPUTS.model_files(wildcards.model),
        code=lambda wildcards: code("synthesis/generate_distal", model=wildcards.model),
    output:
        distal=run("distal/{model}.h5"),
    log:
        run("logs/generate_distal/{model}.log"),
    benchmark:
        run("benchmarks/generate_distal/{model}.tsv")
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
        spec=lambda wildcards: CODE.spec(wildcards.model),
        labels=PLAN.distal_labels,
        seeds=lambda wildcards: [config["seed"] + i for i in range(config["distal"]["seeds"])],
        confidence=lambda wildcards: config["distal"]["confidence"],
        ascent=lambda wildcards: {key: config["distal"][key] for key in ("steps", "step_size", "momentum")},
    script:
        "../../scripts/synthesis/generate_distal.py"


rule summarize_distal:
    input:
        distal=[run(f"distal/{model}.h5") for model in PLAN.differentiable],
        code=code("synthesis/summarize_distal"),
    output:
        table=run("tables/distal.csv"),
    log:
        run("logs/summarize_distal.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        run=config["run"],
    script:
        "../../scripts/synthesis/summarize_distal.py"


rule sample_prior:
    input:
        probe=lambda wildcards: OUTPUTS.probe(PLAN.generative[0]),
        model=lambda wildcards: OUTPUTS.model_files(PLAN.generative[0]),
        code=lambda wildcards: code("synthesis/sample_prior", model=PLAN.generative[0]),
    output:
        samples=run("synthesis/samples.h5"),
    log:
        run("logs/sample_prior.log"),
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
        model=lambda wildcards: PLAN.generative[0],
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: CODE.spec(PLAN.generative[0]),
        # In one mapping: Snakemake compares the values of params without their names.
        numbers={"n": config["figures"]["prior_samples"], "seed": config["seed"]},
    script:
        "../../scripts/synthesis/sample_prior.py"


rule reconstruct_images:
    input:
        probe=probed,
        images=run("data/test.h5"),
        minimal=lambda wildcards: run(f"minimal/{wildcards.model}/{PLAN.shown_norm([wildcards.model])}.h5"),
        model=lambda wildcards: OUTPUTS.model_files(wildcards.model),
        code=lambda wildcards: code("synthesis/reconstruct_images", model=wildcards.model),
    output:
        reconstructions=run("synthesis/reconstructions/{model}.h5"),
    log:
        run("logs/reconstruct_images/{model}.log"),
    wildcard_constraints:
        model="|".join(PLAN.generative) or "none",
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
        spec=lambda wildcards: CODE.spec(wildcards.model),
        seed=config["seed"],
        first=config["figures"]["reconstructed"],
    script:
        "../../scripts/synthesis/reconstruct_images.py"
