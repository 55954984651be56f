rule compute_lower_bounds:
    input:
        images=run("data/test.h5"),
        model=lambda wildcards: certified_inputs(wildcards.model),
        code=lambda wildcards: sources("certificates/compute_lower_bounds", model=wildcards.model),
    output:
        bounds=run("bounds/{model}/{norm}/{shard}.csv"),
        draws=run("bounds/{model}/{norm}/{shard}_draws.csv"),
    log:
        run("logs/compute_lower_bounds/{model}-{norm}-{shard}.log"),
    benchmark:
        run("benchmarks/compute_lower_bounds/{model}-{norm}-{shard}.tsv")
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
        "../../scripts/certificates/compute_lower_bounds.py"


rule gather_lower_bounds:
    input:
        shards=expand(run("bounds/{{model}}/{{norm}}/{shard}.csv"), shard=SHARDS),
        draws=expand(run("bounds/{{model}}/{{norm}}/{shard}_draws.csv"), shard=SHARDS),
        code=sources("certificates/gather_lower_bounds"),
    output:
        bounds=run("bounds/{model}/{norm}.csv"),
        summary=run("bounds/{model}/{norm}_summary.csv"),
    log:
        run("logs/gather_lower_bounds/{model}-{norm}.log"),
    conda:
        "../../envs/absynth.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        n_samples=config["n_samples"],
    script:
        "../../scripts/certificates/gather_lower_bounds.py"


rule summarize_lower_bounds:
    input:
        parts=[run(f"bounds/{model}/{norm}_summary.csv") for model, norm in CERTIFIED],
        code=sources("certificates/summarize_lower_bounds"),
    output:
        table=run("tables/bounds.csv"),
    log:
        run("logs/summarize_lower_bounds.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        columns=["model", "norm", "bound", "mean", "median", "standard_error", "disagreeing", "seeds", "n"],
    script:
        "../../scripts/certificates/summarize_lower_bounds.py"


rule compare_bounds:
    input:
        images=run("data/test.h5"),
        bounds=run("bounds/{model}/{norm}.csv"),
        minimal=run("minimal/{model}/{norm}.h5"),
        model=lambda wildcards: certified_inputs(wildcards.model),
        code=lambda wildcards: sources("certificates/compare_bounds", model=wildcards.model),
    output:
        bracket=run("bracket/{model}/{norm}.csv"),
        violations=run("bracket/{model}/{norm}_refutations.csv"),
        middle=run("bracket/{model}/{norm}_medians.csv"),
        curve=run("bracket/{model}/{norm}_curves.csv"),
    log:
        run("logs/compare_bounds/{model}-{norm}.log"),
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
        "../../scripts/certificates/compare_bounds.py"


rule gather_brackets:
    input:
        bracket=[run(f"bracket/{model}/{norm}.csv") for model, norm in BRACKETED],
        violations=[run(f"bracket/{model}/{norm}_refutations.csv") for model, norm in BRACKETED],
        medians=[run(f"bracket/{model}/{norm}_medians.csv") for model, norm in BRACKETED],
        curves=[run(f"bracket/{model}/{norm}_curves.csv") for model, norm in BRACKETED],
        code=sources("certificates/gather_brackets"),
    output:
        bracket=run("tables/bracket.csv"),
        violations=run("tables/violations.csv"),
        medians=run("tables/bracket_medians.csv"),
        curves=run("tables/bracket_curves.csv"),
    log:
        run("logs/gather_brackets.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/certificates/gather_brackets.py"
