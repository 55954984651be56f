rule record_provenance:
    input:
        images=run("data/test.h5"),
        shards=OUTPUTS.all_shards,
        calibrations=OUTPUTS.calibrations,
        probes=[OUTPUTS.probe(model) for model in PLAN.models],
        code=code("report/record_provenance"),
    output:
        provenance=run("tables/provenance.json"),
        models=run("tables/models.csv"),
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
        template=template("report.html.j2"),
        parts=[template(name) for name in ("images.html.j2", "images.js")],
        captions=[template(f"{figure.figure}.rst") for figure in OUTPUTS.figures],
        drawings=OUTPUTS.figure_files("svg"),
        tables=[run(f"tables/{stem}.csv") for stem in OUTPUTS.reported_tables],
        findings=OUTPUTS.of_attacked("verification/{model}/{norm}.csv"),
        images=run("data/test.h5"),
        minimal=OUTPUTS.of_attacked("minimal/{model}/{norm}.h5"),
        reconstructions=[run(f"synthesis/reconstructions/{model}.h5") for model in PLAN.reconstructed],
        provenance=run("tables/provenance.json"),
        code=code("report/write_report"),
    output:
        runtime=run("tables/runtime.csv"),
        report=run("report.html"),
    log:
        run("logs/write_report.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        config=config,
        models=PLAN.labels,
        attacks=PLAN.attack_titles,
        sections=SECTIONS,
        figures=[
            {"section": figure.section, "title": figure.title, "wildcards": figure.wildcards}
            for figure in OUTPUTS.figures
        ],
        benchmarks=OUTPUTS.benchmarks(),
    script:
        "../../scripts/report/write_report.py"


rule write_certificates:
    input:
        template=template("report.html.j2"),
        parts=[template(name) for name in ("images.html.j2", "images.js")],
        certificates=run("tables/certificates.csv"),
        code=code("report/write_certificates"),
    output:
        report=run("certificates.html"),
    log:
        run("logs/write_certificates.log"),
    conda:
        "../../envs/absynth.yaml"
    params:
        config=config,
        models={model: PLAN.labels[model] for model in PLAN.with_lower_bounds},
        sections=SECTIONS,
    script:
        "../../scripts/report/write_certificates.py"
