"""Memory from architecture figures, held against published figures."""

import pytest

from factory import architecture, config, estimate, layers, presets

# Unsloth's least VRAM in GB by model size, 4-bit QLoRA and 16-bit LoRA
# (unsloth.ai/docs, "Unsloth requirements", read in November 2026), and a model of each size.
# 27B is Gemma 3: its embeddings of 262,208 tokens and its vision tower stay in 16 bit. Gemma 2 27B
# has less of both, and the estimate for it is 16 % under that row.
# Left out: 11B, 40B, 81B and 90B, of which no model is named and no dense text model is known.
UNSLOTH = {
    "meta-llama/Llama-3.2-3B-Instruct": (3.5, 8),
    "mistralai/Mistral-7B-Instruct-v0.3": (5, 19),
    "meta-llama/Llama-3.1-8B-Instruct": (6, 22),
    "google/gemma-2-9b-it": (6.5, 24),
    "microsoft/Phi-3-medium-4k-instruct": (8.5, 33),
    "google/gemma-3-27b-it": (22, 64),
    "Qwen/Qwen2.5-32B-Instruct": (26, 76),
    "meta-llama/Llama-3.3-70B-Instruct": (41, 164),
    "meta-llama/Llama-3.1-405B-Instruct": (237, 950),
}


def least(*, four_bits: bool) -> config.Config:
    """The smallest run: one row of 512 tokens, r = 16 on all linear layers."""
    return config.validate(
        {
            "model": {"load_in_4bit": four_bits, "max_seq_length": 512},
            "lora": {"r": 16, "use_gradient_checkpointing": "unsloth"},
            "training": {"per_device_train_batch_size": 1, "optim": "adamw_8bit"},
        }
    )


@pytest.mark.parametrize("four_bits", [True, False])
@pytest.mark.parametrize("name", UNSLOTH)
def test_unsloths_table_is_met_within_15_percent(name: str, four_bits: bool) -> None:
    needed = estimate.estimate(least(four_bits=four_bits), architecture.published()[name])
    published = UNSLOTH[name][0 if four_bits else 1]
    deviation = needed.training / published - 1
    print(f"{name}: {needed.training:.1f} GB, published {published}, {deviation:+.0%}")
    assert abs(deviation) <= 0.15


def test_each_knob_moves_the_estimate_the_right_way() -> None:
    model = architecture.published()["Qwen/Qwen2.5-Coder-7B-Instruct"]
    base = least(four_bits=True)

    def needs(override: str) -> float:
        section, _, rest = override.partition(".")
        name, _, value = rest.partition("=")
        changed = base.model_copy(deep=True)
        setattr(getattr(changed, section), name, eval(value))
        return estimate.estimate(changed, model).training

    here = estimate.estimate(base, model).training
    for more in (
        "lora.r=64",
        "model.max_seq_length=4096",
        "training.per_device_train_batch_size=4",
        "training.optim='adamw_torch'",
        "lora.use_gradient_checkpointing=False",
        "lora.use_gradient_checkpointing=True",
        "lora.modules_to_save=['embed_tokens']",
        "model.load_in_4bit=False",
        "model.full_finetuning=True",
    ):
        assert needs(more) > here, more


CATALOG = presets.load()


@pytest.mark.parametrize("name", CATALOG.single_presets())
def test_every_shipped_preset_fits_its_hardware(name: str) -> None:
    needed = estimate.of_config(layers.of_preset(name, CATALOG).config)
    assert needed is not None, "its base model has no published figures"
    hardware = CATALOG.hardware(CATALOG.preset(name).hardware or "")
    print(f"{name}: {needed.training:.1f} of {hardware.available_memory_gb} GB")
    assert needed.training <= hardware.available_memory_gb
