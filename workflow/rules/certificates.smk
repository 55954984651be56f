rule bounds:
    input:
        images=run("data/test.h5"),
        model=lambda wildcards: certified_inputs(wildcards.model),
        code=lambda wildcards: model_package(
            wildcards.model, "certificates.certify", "certificates.summary", "data.splits", "devices"
        ),
    output:
        bounds=run("bounds/{model}/{norm}/{shard}.csv"),
        draws=run("bounds/{model}/{norm}/{shard}_draws.csv"),
    log:
        run("logs/bounds/{model}-{norm}-{shard}.log"),
    benchmark:
        run("benchmarks/bounds/{model}-{norm}-{shard}.tsv")
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(240),
    params:
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: PLAN.model_spec(wildcards.model),
        settings=config["certificates"],
        span=lambda wildcards: PLAN.shard_range(int(wildcards.shard)),
    script:
        "../../scripts/bounds.py"


rule reduce_bounds:
    input:
        shards=expand(run("bounds/{{model}}/{{norm}}/{shard}.csv"), shard=SHARDS),
        draws=expand(run("bounds/{{model}}/{{norm}}/{shard}_draws.csv"), shard=SHARDS),
        code=package("certificates.summary", "log", "atomic"),
    output:
        bounds=run("bounds/{model}/{norm}.csv"),
        summary=run("bounds/{model}/{norm}_summary.csv"),
    log:
        run("logs/reduce_bounds/{model}-{norm}.log"),
    conda:
        "../../envs/absynth.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        n_samples=config["n_samples"],
    script:
        "../../scripts/reduce_bounds.py"


rule bounds_table:
    input:
        parts=[run(f"bounds/{model}/{norm}_summary.csv") for model, norm in CERTIFIED],
        code=package("log", "atomic"),
    output:
        table=run("tables/bounds.csv"),
    log:
        run("logs/bounds_table.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        columns=["model", "norm", "bound", "mean", "median", "standard_error", "disagreeing", "seeds", "n"],
    script:
        "../../scripts/gather.py"


rule confront:
    input:
        images=run("data/test.h5"),
        bounds=run("bounds/{model}/{norm}.csv"),
        minimal=run("minimal/{model}/{norm}.h5"),
        model=lambda wildcards: certified_inputs(wildcards.model),
        code=lambda wildcards: model_package(
            wildcards.model, "bracket", "certificates.certify", "records", "data.splits", "devices"
        ),
    output:
        bracket=run("bracket/{model}/{norm}.csv"),
        refutations=run("bracket/{model}/{norm}_refutations.csv"),
        middle=run("bracket/{model}/{norm}_medians.csv"),
        curve=run("bracket/{model}/{norm}_curves.csv"),
    log:
        run("logs/confront/{model}-{norm}.log"),
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
        settings=config["certificates"],
    script:
        "../../scripts/confront.py"


rule bracket:
    input:
        bracket=[run(f"bracket/{model}/{norm}.csv") for model, norm in BRACKETED],
        refutations=[run(f"bracket/{model}/{norm}_refutations.csv") for model, norm in BRACKETED],
        medians=[run(f"bracket/{model}/{norm}_medians.csv") for model, norm in BRACKETED],
        curves=[run(f"bracket/{model}/{norm}_curves.csv") for model, norm in BRACKETED],
        code=package("bracket", "log", "atomic"),
    output:
        bracket=run("tables/bracket.csv"),
        refutations=run("tables/refutations.csv"),
        medians=run("tables/bracket_medians.csv"),
        curves=run("tables/bracket_curves.csv"),
    log:
        run("logs/bracket.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/bracket.py"
