rule run_attack:
    input:
        probe=probed,
        images=run("data/test.h5"),
        model=lambda wildcards: OUTPUTS.model_files(wildcards.model),
        starts=lambda wildcards: OUTPUTS.attack_starts(**wildcards),
        substitute=lambda wildcards: OUTPUTS.substitute_files(wildcards.attack),
        bounds=lambda wildcards: OUTPUTS.proved_bounds(**wildcards),
        code=lambda wildcards: code("attacks/run_attack", model=wildcards.model, attack=wildcards.attack),
    output:
        shard=run("attacks/{model}/{norm}/{attack}/{shard}.h5"),
    log:
        run("logs/run_attack/{model}-{norm}-{attack}-{shard}.log"),
    benchmark:
        run("benchmarks/run_attack/{model}-{norm}-{attack}-{shard}.tsv")
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(240),
    params:
        run=config["run"],
        seed=config["seed"],
        folder=lambda wildcards: run(""),
        job=attack_job,
        checkpoint=lambda wildcards: OUTPUTS.attack_checkpoint(**wildcards),
    script:
        "../../scripts/attacks/run_attack.py"


rule gather_minima:
    input:
        shards=lambda wildcards: OUTPUTS.attack_shards(**wildcards),
        code=code("attacks/gather_minima"),
    output:
        minimal=run("minimal/{model}/{norm}.h5"),
        summary=run("minimal/{model}/{norm}.csv"),
    log:
        run("logs/gather_minima/{model}-{norm}.log"),
    conda:
        "../../envs/absynth.yaml"
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(15),
    params:
        run=config["run"],
        model="{model}",
        norm="{norm}",
        attacks=lambda wildcards: PLAN.attacks_on(wildcards.model, wildcards.norm),
        of_paper=lambda wildcards: PLAN.paper_attacks_on(wildcards.model, wildcards.norm),
        epsilon=lambda wildcards: config["epsilons"][wildcards.norm],
    script:
        "../../scripts/attacks/gather_minima.py"
