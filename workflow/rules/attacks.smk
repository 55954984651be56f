rule attack:
    input:
        images=run("data/test.h5"),
        model=lambda wildcards: model_inputs(wildcards.model),
        code=lambda wildcards: model_package(
            wildcards.model,
            "attacks.run",
            "records",
            "data.splits",
            "devices",
            builder_module(PLAN.attacks[wildcards.attack].builder),
        ),
    output:
        shard=run("attacks/{model}/{norm}/{attack}/{shard}.h5"),
    params:
        run=config["run"],
        folder=run(""),
        spec=lambda wildcards: PLAN.model_spec(wildcards.model),
        builder=lambda wildcards: PLAN.attacks[wildcards.attack].builder,
        budget=lambda wildcards: PLAN.budget(wildcards.attack),
        batch_size=lambda wildcards: config["attacks"][wildcards.attack]["batch_size"],
        span=lambda wildcards: PLAN.shard_range(int(wildcards.shard)),
        seed=config["seed"],
    log:
        run("logs/attack/{model}-{norm}-{attack}-{shard}.log"),
    benchmark:
        run("benchmarks/attack/{model}-{norm}-{attack}-{shard}.tsv")
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
    script:
        "../../scripts/attack.py"


def attack_shards(wildcards):
    """All shards of all attacks on a model in a norm, attack by attack."""
    return [
        run(f"attacks/{wildcards.model}/{wildcards.norm}/{attack}/{shard}.h5")
        for attack in PLAN.attacks_on(wildcards.model, wildcards.norm)
        for shard in range(config["shards"])
    ]


rule reduce:
    input:
        shards=attack_shards,
        code=package("reduction", "records", "log"),
    output:
        minimal=run("minimal/{model}/{norm}.h5"),
        summary=run("minimal/{model}/{norm}.csv"),
    params:
        run=config["run"],
        model="{model}",
        norm="{norm}",
        attacks=lambda wildcards: PLAN.attacks_on(wildcards.model, wildcards.norm),
        threshold=lambda wildcards: config["thresholds"][wildcards.norm],
    log:
        run("logs/reduce/{model}-{norm}.log"),
    script:
        "../../scripts/reduce.py"
