rule runtime:
    input:
        tables=[run(f"tables/{stem}.csv") for stem in REPORTED_TABLES if stem != "runtime"],
        findings=[run(f"verification/{model}/{norm}.csv") for model, norm in ATTACKED],
        code=package("log", "atomic"),
    output:
        table=run("tables/runtime.csv"),
    log:
        run("logs/runtime.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        benchmarks=benchmarks(),
    script:
        "../../scripts/runtime.py"


rule provenance:
    input:
        shards=ALL_SHARDS,
        calibrations=[run(f"models/{model}/calibration.json") for model in PLAN.models],
        code=package("provenance", "records", "log", "atomic"),
    output:
        provenance=run("tables/provenance.json"),
    log:
        run("logs/provenance.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        config=config,
    script:
        "../../scripts/provenance.py"


rule report:
    input:
        template=report_template(),
        captions=captions(),
        drawings=[run(f"figures/{figure.stem}.svg") for figure in FIGURES],
        tables=[run(f"tables/{stem}.csv") for stem in REPORTED_TABLES],
        provenance=run("tables/provenance.json"),
        code=package("report", "report_tables", "norms", "provenance", "atomic", "log"),
    output:
        report=run("report.html"),
    log:
        run("logs/report.log"),
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
        "../../scripts/report.py"
