rule prepare_data:
    input:
        own=own_files(PLAN.dataset),
        code=code("data/prepare_data"),
    output:
        **{split: run(f"data/{split}.h5") for split in PLAN.splits},
    log:
        run("logs/prepare_data.log"),
    conda:
        "../../envs/absynth.yaml"
    resources:
        mem_mb=scaled(4000),
        runtime=scaled(60),
    params:
        **OUTPUTS.data_limits,
        dataset=config["dataset"],
        description=config["datasets"].get(config["dataset"]),
        data_dir=config["data_dir"],
        unverified=lambda wildcards: unverified(PLAN.dataset, config["data_dir"]),
        cache=DOWNLOADS,
        n_calibration=config["n_calibration"],
        image_order=config["image_order"],
        seed=config["seed"],
    script:
        "../../scripts/data/prepare_data.py"
