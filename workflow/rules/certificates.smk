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
        spec=lambda wildcards: CODE.spec(wildcards.model),
        settings=config["certificates"],
        span=lambda wildcards: PLAN.spans[int(wildcards.shard)],
    script:
        "../../scripts/certificates/compute_lower_bounds.py"


rule gather_lower_bounds:
    input:
        shards=lambda wildcards: OUTPUTS.shards_of_bounds(wildcards.model, ".csv"),
        draws=lambda wildcards: OUTPUTS.shards_of_bounds(wildcards.model, "_draws.csv"),
        code=code("certificates/gather_lower_bounds"),
    output:
        bounds=expand(run("bounds/{{model}}/{norm}.csv"), norm=PLAN.norms),
        summaries=expand(run("bounds/{{model}}/{norm}_summary.csv"), norm=PLAN.norms),
    log:
        run("logs/gather_lower_bounds/{model}.log"),
    conda:
        "../../envs/absynth.yaml"
    resources:
        mem_mb=scaled(2000),
        runtime=scaled(15),
    params:
        norms=PLAN.norms,
        n_samples=config["n_samples"],
    script:
        "../../scripts/certificates/gather_lower_bounds.py"


rule tabulate_lower_bounds:
    input:
        summaries=OUTPUTS.of_bounded("bounds/{model}/{norm}_summary.csv"),
        bounds=OUTPUTS.of_bounded("bounds/{model}/{norm}.csv"),
        code=code("certificates/tabulate_lower_bounds"),
    output:
        table=run("tables/bounds.csv"),
        csv=run("tables/certificates.csv"),
        markdown=run("tables/certificates.md"),
    log:
        run("logs/tabulate_lower_bounds.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        models={model: PLAN.labels[model] for model in PLAN.with_lower_bounds},
        epsilons=config["epsilons"],
    script:
        "../../scripts/certificates/tabulate_lower_bounds.py"


rule compare_bounds:
    input:
        probes=[OUTPUTS.probe(model) for model in OUTPUTS.with_brackets],
        images=run("data/test.h5"),
        bounds=OUTPUTS.of_bracketed("bounds/{model}/{norm}.csv"),
        minimal=OUTPUTS.of_bracketed("minimal/{model}/{norm}.h5"),
        models=[path for model in OUTPUTS.with_brackets for path in OUTPUTS.model_files(model)],
        code=lambda wildcards: code("certificates/compare_bounds", models=OUTPUTS.with_brackets),
    output:
        bracket=run("tables/bracket.csv"),
        violations=run("tables/bound_violations.csv"),
        medians=run("tables/bracket_medians.csv"),
        curves=run("tables/bracket_curves.csv"),
    log:
        run("logs/compare_bounds.log"),
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(60),
    params:
        run=config["run"],
        cases=PLAN.bracketed,
        folder=lambda wildcards: run(""),
        specs={model: CODE.spec(model) for model in OUTPUTS.with_brackets},
        settings=config["certificates"],
    script:
        "../../scripts/certificates/compare_bounds.py"
