rule gather_runtime:
    input:
        tables=[run(f"tables/{stem}.csv") for stem in REPORTED_TABLES if stem != "runtime"],
        findings=[run(f"verification/{model}/{norm}.csv") for model, norm in ATTACKED],
        code=sources("report/gather_runtime"),
    output:
        table=run("tables/runtime.csv"),
    log:
        run("logs/gather_runtime.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        benchmarks=benchmarks(),
    script:
        "../../scripts/report/gather_runtime.py"


rule record_provenance:
    input:
        shards=ALL_SHARDS,
        calibrations=[run(f"models/{model}/calibration.json") for model in PLAN.models],
        code=sources("report/record_provenance"),
    output:
        provenance=run("tables/provenance.json"),
    log:
        run("logs/record_provenance.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        config=config,
    script:
        "../../scripts/report/record_provenance.py"


rule write_report:
    input:
        template=report_template(),
        captions=captions(),
        drawings=[run(f"figures/{figure.stem}.svg") for figure in FIGURES],
        tables=[run(f"tables/{stem}.csv") for stem in REPORTED_TABLES],
        provenance=run("tables/provenance.json"),
        code=sources("report/write_report"),
    output:
        report=run("report.html"),
    log:
        run("logs/write_report.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        config=config,
        models=LABELS,
        attacks=ATTACK_TITLES,
        sections=SECTIONS,
        figures=[
            {"section": figure.section, "title": figure.title, "wildcards": figure.wildcards}
            for figure in FIGURES
        ],
    script:
        "../../scripts/report/write_report.py"
