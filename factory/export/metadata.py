"""`metadata.json`: what the model is and where it came from, from gate files and manifests alone.

The only file of a release that holds times. They are those of the stages, not of the export, so
that exporting again gives the same bytes.
"""

from __future__ import annotations

from typing import Any

from factory import artifacts, base_model, ledger, naming, pipeline, storage
from factory.artifacts import SCHEMA_VERSION, DatasetReport, GateFile
from factory.context import Context
from factory.errors import GateClosed
from factory.export.report import ReleaseReport
from factory.training import metadata as training_metadata

# Of training-stats.json: the curve is in the workspace, and warnings are the log's.
LEFT_OUT = ("schema_version", "curve", "warnings")


def earlier_gates(context: Context) -> dict[str, GateFile]:
    """The gate file of every stage before export; GateClosed if one is missing."""
    found = {}
    for stage in pipeline.before(pipeline.find("export")):
        gate = ledger.read_gate(context.workspace, stage.name)
        if gate is None:
            raise GateClosed(
                f"export needs {stage.name}, which has not been run here",
                hint=f"run: python -m factory run {stage.name}",
            )
        found[stage.name] = gate
    return found


def training_stats(context: Context) -> dict[str, Any]:
    """`metrics/training-stats.json` without the curve."""
    values: dict[str, Any] = storage.read_json(context.workspace.training_stats)
    return {name: value for name, value in values.items() if name not in LEFT_OUT}


def build(context: Context, report: ReleaseReport) -> dict[str, Any]:
    """The content of metadata.json."""
    gates = earlier_gates(context)
    finetune = gates["finetune"]
    base = base_model.resolve(context)
    dataset = artifacts.load(DatasetReport, context.workspace.dataset_report)
    return {
        "schema_version": SCHEMA_VERSION,
        "expert": training_metadata.expert(context.config),
        "model": {
            **training_metadata.model(context),
            "base_files": {
                name: known.sha256
                for name, known in finetune.inputs.items()
                if name.startswith(f"{base.name}/")
            },
            "gguf_quantization": sorted(report.gguf),
        },
        "artifacts": naming.of(context.config).as_json(),
        "training": {
            **training_stats(context),
            "started_at": finetune.started_at,
            "ended_at": finetune.ended_at,
            "seed": finetune.seed,
            "settings": finetune.settings,
            "decisions": {
                name: decision.model_dump(mode="json")
                for name, decision in finetune.decisions.items()
            },
        },
        "dataset": {
            name: {"rows": split.rows, "sha256": split.sha256}
            for name, split in dataset.splits.items()
        },
        "hardware": finetune.machine,
        "versions": finetune.versions,
        "git": {"commit": finetune.git_commit, "dirty": finetune.git_dirty},
        "gates": {name: _gate(context, name, gate) for name, gate in gates.items()},
    }


def _gate(context: Context, name: str, gate: GateFile) -> dict[str, Any]:
    """How a stage ended, and the seal of its gate file, which chains every hash in it."""
    path = context.workspace.gate_path(name)
    return {
        "status": gate.status,
        "ended_at": gate.ended_at,
        "seal": storage.read_json(path)[ledger.SEAL],
        "waivers": [waiver.model_dump(mode="json") for waiver in gate.waivers],
    }
