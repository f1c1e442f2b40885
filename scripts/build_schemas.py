"""Write `factory/schemas/*.schema.json` from the code: python scripts/build_schemas.py"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from factory import artifacts, config, ledger, storage
from factory.export.report import ReleaseReport
from factory.schemas import FOLDER, SUFFIX

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MODELS: dict[str, type[BaseModel]] = {
    "gate": artifacts.GateFile,
    "dataset": artifacts.DatasetReport,
    "evaluation": artifacts.EvaluationReport,
    "training-status": artifacts.TrainingStatus,
    "verification": ReleaseReport,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Every generated schema, by name."""
    generated = {
        name: {"$schema": DIALECT, **model.model_json_schema()} for name, model in MODELS.items()
    }
    # The ledger seals a gate file when it writes it; the model is what the seal covers.
    generated["gate"]["properties"][ledger.SEAL] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    generated["gate"]["required"].append(ledger.SEAL)
    return {"training-config": config.json_schema(), **generated}


if __name__ == "__main__":
    for schema_name, content in schemas().items():
        storage.write_json(FOLDER / f"{schema_name}{SUFFIX}", content)
        print(f"{schema_name}{SUFFIX}")
