rule compute_lower_bounds:
    input:
        probe=probed,
        images=run("data/test.h5"),
        model=lower_bound_files,
        code=lambda wildcards: code("certificates/compute_lower_bounds", model=wildcards.model),
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
        shards=expand(run("bounds/{{model}}/{{norm}}/{shard}.csv"), shard=OUTPUTS.shards),
        draws=expand(run("bounds/{{model}}/{{norm}}/{shard}_draws.csv"), shard=OUTPUTS.shards),
        code=code("certificates/gather_lower_bounds"),
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
        parts=OUTPUTS.of_bounded("bounds/{model}/{norm}_summary.csv"),
        code=code("certificates/summarize_lower_bounds"),
    output:
        table=run("tables/bounds.csv"),
    log:
        run("logs/summarize_lower_bounds.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        columns=[
            "model",
            "norm",
            "bound",
            "basis",
            "mean",
            "median",
            "standard_error",
            "disagreeing",
            "seeds",
            "n",
        ],
    script:
        "../../scripts/certificates/summarize_lower_bounds.py"


rule format_certificates:
    input:
        bounds=OUTPUTS.of_bounded("bounds/{model}/{norm}.csv"),
        code=code("certificates/format_certificates"),
    output:
        csv=run("tables/certificates.csv"),
        markdown=run("tables/certificates.md"),
    log:
        run("logs/format_certificates.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models={model: PLAN.labels[model] for model in PLAN.with_lower_bounds},
        epsilons=config["epsilons"],
    script:
        "../../scripts/certificates/format_certificates.py"


rule compare_bounds:
    input:
        probe=probed,
        images=run("data/test.h5"),
        bounds=run("bounds/{model}/{norm}.csv"),
        minimal=run("minimal/{model}/{norm}.h5"),
        model=lower_bound_files,
        code=lambda wildcards: code("certificates/compare_bounds", model=wildcards.model),
    output:
        bracket=run("bracket/{model}/{norm}.csv"),
        violations=run("bracket/{model}/{norm}_violations.csv"),
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
        bracket=OUTPUTS.of_bracketed("bracket/{model}/{norm}.csv"),
        violations=OUTPUTS.of_bracketed("bracket/{model}/{norm}_violations.csv"),
        medians=OUTPUTS.of_bracketed("bracket/{model}/{norm}_medians.csv"),
        curves=OUTPUTS.of_bracketed("bracket/{model}/{norm}_curves.csv"),
        code=code("certificates/gather_brackets"),
    output:
        bracket=run("tables/bracket.csv"),
        violations=run("tables/bound_violations.csv"),
        medians=run("tables/bracket_medians.csv"),
        curves=run("tables/bracket_curves.csv"),
    log:
        run("logs/gather_brackets.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/certificates/gather_brackets.py"
