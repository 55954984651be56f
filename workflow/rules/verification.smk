rule verify_records:
    input:
        probe=probed,
        images=run("data/test.h5"),
        model=lambda wildcards: OUTPUTS.model_files(wildcards.model),
        shards=lambda wildcards: OUTPUTS.attack_shards(**wildcards),
        minimal=run("minimal/{model}/{norm}.h5"),
        bounds=lambda wildcards: OUTPUTS.checked_bounds(**wildcards),
        code=lambda wildcards: code("verification/verify_records", model=wildcards.model),
    output:
        findings=run("verification/{model}/{norm}.csv"),
    log:
        run("logs/verify_records/{model}-{norm}.log"),
    benchmark:
        run("benchmarks/verify_records/{model}-{norm}.tsv")
    conda:
        "../../envs/absynth.yaml"
    threads: config["threads"]["attack"]
    resources:
        gpu=1,
        torch_threads=config["threads"]["attack"],
        mem_mb=scaled(6000),
        runtime=scaled(120),
    params:
        run=config["run"],
        folder=lambda wildcards: run(""),
        spec=lambda wildcards: CODE.spec(wildcards.model),
        spans=PLAN.spans,
        ends=lambda wildcards: PLAN.ends_on(**wildcards),
    script:
        "../../scripts/verification/verify_records.py"


rule summarize_verification:
    input:
        findings=OUTPUTS.of_attacked("verification/{model}/{norm}.csv"),
        records=OUTPUTS.attack_records,
        code=code("verification/summarize_verification"),
    output:
        table=run("tables/verification.csv"),
    log:
        run("logs/summarize_verification.log"),
    conda:
        "../../envs/absynth.yaml"
    script:
        "../../scripts/verification/summarize_verification.py"
