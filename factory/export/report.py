"""`verification.json`: how every file of a release was compared with the adapter that passed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from factory.artifacts import SCHEMA_VERSION, Artifact, Metrics


class Parity(Artifact):
    """Next-token distributions against the adapter's, at the tokens of the expected turns.

    Measured on a seeded sample of the test turns. A value is null where it is not finite.
    `rounding_floor` is the largest logit difference that storing the merged weights in their
    type costs by itself: the adapter merged in memory, rounded to that type.
    """

    turns: int
    positions: int
    prompts: int = Field(description="Prompts rendered by the file's own template.")
    prompts_differ: int = Field(description="Of these, how many become other tokens than trained.")
    max_logit_difference: float | None
    rounding_floor: float | None = None
    mean_kl_divergence: float | None = Field(description="KL(adapter || file), nats per token.")
    top_token_agreement: float | None
    loss: float | None
    adapter_loss: float | None


class Answers(Artifact):
    """Greedy answers to all evaluated test rows against the adapter's answers.

    A row is right when each of its scored turns is; both counts are null where no turn of the
    test rows has a right answer (free text).
    """

    rows: int
    turns: int
    equal_turns: int
    rows_right: int | None
    adapter_rows_right: int | None


class Tensors(Artifact):
    """What a GGUF really holds."""

    types: dict[str, int] = Field(description="Tensor type -> number of tensors.")
    not_finite: list[str]
    end_token_id: int | None


class ModelProof(Artifact):
    """One produced model: the merged folder or one GGUF file."""

    path: str
    size: int
    metrics: Metrics
    comparable: bool = Field(description="Measured under the protocol of evaluation.json.")
    prompts_tokenized_differently: int
    answers: Answers
    parity: Parity
    tensors: Tensors | None = None
    end_token_id: int | None = Field(None, description="The tokenizer's; GGUF files only.")
    predictions: str
    predictions_sha256: str


class WeightsProof(Artifact):
    """The files of the adapter, or of the model trained as a whole: name -> sha256."""

    evaluated: dict[str, str]
    shipped: dict[str, str]
    measured: dict[str, str] | None = Field(
        description="The weights files that evaluation.json says were measured."
    )


class OllamaTemplate(Artifact):
    """Which Go template reproduces the model's own template, if any."""

    family: str | None
    tools: str
    reason: str
    stops: list[str] = Field(description="Texts that end an answer.")
    systems: list[str] = Field(
        description="The texts in the system block of the test rows, most frequent first; "
        "with the tool signatures where the Go template cannot write those."
    )
    always_system: bool = Field(description="Whether every row has a system block.")


class ReleaseReport(Artifact):
    """The whole of verification.json. It holds no time and no path outside the release."""

    schema_version: int = SCHEMA_VERSION
    name: str
    version: str
    test_sha256: str
    method: Literal["lora", "full"] = Field(description="What was trained: adapter or all.")
    weights: WeightsProof
    merged: ModelProof
    gguf: dict[str, ModelProof]
    ollama: OllamaTemplate
    leaks: list[str] = Field(description="Files with a secret or a path of this machine.")
    left_out: list[str] = Field(description="Files of the inputs that do not ship.")
