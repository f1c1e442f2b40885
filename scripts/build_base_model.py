#!/usr/bin/env python3
"""Build the embedded base model: a tiny chat model, pre-trained from scratch on generated text.

    python scripts/build_base_model.py --out models/base     # half an hour on one core
    python scripts/build_base_model.py --check               # are the weights the recorded ones?

Everything is fixed but the machine: seed, number of steps, one thread. On one machine the same
command gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

# Read by OpenMP when torch loads. One thread: it repeats bit by bit, and it is faster at this size.
os.environ["OMP_NUM_THREADS"] = "1"

from base_model.corpus import all_text, conversation, conversations
from base_model.tokenizer import PAD, TURN_END, TURN_START, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "models" / "base"
CARD = Path(__file__).with_name("base_model") / "card.md"
RECORD = "build.json"
RECORDED_FILES = ("model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json")

# Every width is a multiple of 256: on others llama.cpp's K-quants fall back to larger types.
ARCHITECTURE: dict[str, Any] = {
    "hidden_size": 256,
    "num_hidden_layers": 3,
    "intermediate_size": 512,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
VOCAB_SIZE = 3072
TOKENIZER_TEXTS = 3000
ROLES = ("system", "user", "assistant", "tool")
POOL = 512  # conversations that are sorted by length together, so that batches waste little
ROUND_TO = 8  # batches are padded to multiples of this, so that few shapes occur
WARMUP = 0.02
MATRIX_RATE, VECTOR_RATE = 0.02, 0.006


Row = tuple[list[int], list[bool]]  # token ids of a conversation; which of them are learned


@dataclass(frozen=True)
class Recipe:
    """The numbers that decide what comes out."""

    seed: int
    steps: int
    tokens_per_step: int


@dataclass(frozen=True)
class Batch:
    """Token ids [rows, length], and whether each is the assistant's and to be learned [same]."""

    ids: torch.Tensor
    learned: torch.Tensor


def spoken_by_assistant(ids: list[int], turn_start: int, turn_end: int, role: int) -> list[bool]:
    """Mark what the assistant says, its end of turn included.

    Only that is learned: prompts are mostly random values, and skipping them saves a third of the
    time.
    """
    marks: list[bool] = []
    speaking = False
    for index, token in enumerate(ids):
        marks.append(speaking)
        if token == role and index and ids[index - 1] == turn_start:
            speaking = True
        elif token == turn_end:
            speaking = False
    return marks


class Batches:
    """Batches of conversations of similar length, drawn anew for every step."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.rng = Random(f"conversations {recipe.seed}")
        self.turn_start, self.turn_end, self.pad = tokenizer.convert_tokens_to_ids(
            [TURN_START, TURN_END, PAD]
        )
        role = tokenizer.encode("assistant")
        if len(role) != 1:
            raise ValueError("'assistant' has to be one token: it marks what the loss is about")
        self.role = role[0]

    def encode(self, progress: float) -> Row:
        """Token ids and marks of one new conversation."""
        item = conversation(self.rng, progress)
        text = self.tokenizer.apply_chat_template(item.messages, tools=item.tools, tokenize=False)
        ids = self.tokenizer.encode(text)
        return ids, spoken_by_assistant(ids, self.turn_start, self.turn_end, self.role)

    def collate(self, rows: list[Row]) -> Batch:
        """Pad rows to one length."""
        import torch

        length = -(-max(len(ids) for ids, _ in rows) // ROUND_TO) * ROUND_TO
        ids = [ids + [self.pad] * (length - len(ids)) for ids, _ in rows]
        marks = [marks + [False] * (length - len(marks)) for _, marks in rows]
        return Batch(torch.tensor(ids), torch.tensor(marks))

    def __iter__(self) -> Iterator[Batch]:
        """Yield exactly `recipe.steps` batches."""
        made = 0
        while made < self.recipe.steps:
            rows = [self.encode(made / self.recipe.steps) for _ in range(POOL)]
            groups = group_by_length(rows, self.recipe.tokens_per_step)
            self.rng.shuffle(groups)
            for group in groups[: self.recipe.steps - made]:
                yield self.collate(group)
                made += 1


def group_by_length(rows: list[Row], budget: int) -> list[list[Row]]:
    """Sort rows by length and cut them into groups of about `budget` tokens."""
    groups: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0])):
        if groups[-1] and len(row[0]) * (len(groups[-1]) + 1) > budget:
            groups.append([])
        groups[-1].append(row)
    return groups


def build_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """Learn the tokenizer from the word list and from conversations of the end of the schedule."""
    from base_model.words import load_words

    texts = islice(conversations(Random(f"tokenizer {seed}"), progress=1.0), TOKENIZER_TEXTS)
    words = (*load_words().everything, *ROLES)
    return train_tokenizer(words, map(all_text, texts), VOCAB_SIZE)


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> Qwen3ForCausalLM:
    """An untrained model."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="eager",  # faster than the fused kernel at this size on a CPU
        **ARCHITECTURE,
    )
    return Qwen3ForCausalLM(config)


def build_optimizers(model: Qwen3ForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices, AdamW for the embeddings and norms."""
    import torch

    named = dict(model.named_parameters())
    matrices = [p for name, p in named.items() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in named.items() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.05)
    adam = torch.optim.AdamW(others, lr=VECTOR_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adam]


def rate_factor(step: int, steps: int) -> float:
    """Short warm-up, then linear to zero."""
    return min(1.0, (step + 1) / (WARMUP * steps + 1)) * (1 - step / steps)


def batch_loss(model: Qwen3ForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the next token, over what the assistant says."""
    import torch
    from torch.nn.functional import cross_entropy

    learned = batch.learned[:, 1:]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=batch.ids[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[learned])
    return cross_entropy(logits.float(), batch.ids[:, 1:][learned])


def pretrain(model: Qwen3ForCausalLM, batches: Batches, recipe: Recipe) -> dict[str, float]:
    """Train for `recipe.steps` steps; returns tokens seen, CPU seconds and the last loss."""
    import torch

    optimizers = build_optimizers(model)
    base_rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    model.train()
    started, tokens, smooth = time.process_time(), 0, 0.0
    for step, batch in enumerate(batches):
        for optimizer, rate in zip(optimizers, base_rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * rate_factor(step, recipe.steps)
        loss = batch_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        tokens += batch.ids.numel()
        smooth = loss.item() if step == 0 else 0.97 * smooth + 0.03 * loss.item()
        show_progress(step + 1, recipe.steps, smooth, tokens, time.process_time() - started)
    return {
        "tokens": tokens,
        "cpu_seconds": round(time.process_time() - started),
        "loss": round(smooth, 4),
    }


def show_progress(step: int, steps: int, loss: float, tokens: int, seconds: float) -> None:
    """One line a hundred times over the run (every step on a short one)."""
    if step % max(1, steps // 100) and step != steps:
        return
    eta = seconds / step * (steps - step)
    print(
        f"step {step}/{steps}  loss {loss:.3f}  {tokens / seconds:,.0f} tokens/s"
        f"  CPU {seconds:.0f} s  ETA {eta:.0f} s",
        flush=True,
    )


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write weights (bf16), configurations and tokenizer as transformers reads them."""
    import torch
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_record(out: Path, recipe: Recipe, stats: dict[str, float]) -> dict[str, Any]:
    """What was built, how, and the hashes that `--check` compares with."""
    import torch
    import transformers

    return {
        "recipe": asdict(recipe),
        "measured": stats,
        "sha256": {name: file_sha256(out / name) for name in RECORDED_FILES},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def make_card(record: dict[str, Any]) -> str:
    """The model card, from its text and the record."""
    return CARD.read_text(encoding="utf-8").format(
        **record["recipe"],
        **record["measured"],
        **record["versions"],
        cpu_minutes=record["measured"]["cpu_seconds"] / 60,
        layers=ARCHITECTURE["num_hidden_layers"],
        width=ARCHITECTURE["hidden_size"],
        context=ARCHITECTURE["max_position_embeddings"],
        vocabulary=VOCAB_SIZE,
        record=RECORD,
        weights_sha256=record["sha256"]["model.safetensors"],
    )


def describe(out: Path, recipe: Recipe, stats: dict[str, float]) -> None:
    """Write the record and the model card."""
    record = make_record(out, recipe, stats)
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (out / "README.md").write_text(make_card(record), encoding="utf-8")


def check(out: Path) -> list[str]:
    """Names of the recorded files that are missing or differ from the record."""
    recorded = json.loads((out / RECORD).read_text(encoding="utf-8"))["sha256"]
    return [
        name
        for name, digest in recorded.items()
        if not (out / name).is_file() or file_sha256(out / name) != digest
    ]


def build(out: Path, recipe: Recipe) -> None:
    """Make tokenizer and model, train, and write everything to `out`."""
    import torch

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    tokenizer = build_tokenizer(recipe.seed)
    model = build_model(tokenizer, recipe.seed)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{parameters:,} parameters, {len(tokenizer)} tokens in the vocabulary", flush=True)
    stats = pretrain(model, Batches(tokenizer, recipe), recipe)
    if not all(bool(parameter.isfinite().all()) for parameter in model.parameters()):
        raise FloatingPointError("training ended with weights that are not finite; nothing written")
    out.mkdir(parents=True, exist_ok=True)
    save(model, tokenizer, out)
    describe(out, recipe, stats | {"parameters": parameters})
    print(f"wrote {out}")


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=2026, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=4000, help="default: %(default)s")
    parser.add_argument(
        "--tokens-per-step", type=int, default=4096, help="batch size in tokens (%(default)s)"
    )
    parser.add_argument(
        "--check", action="store_true", help=f"only compare the files in --out with {RECORD}"
    )
    return parser.parse_args()


def main() -> int:
    """Build, or check what is there."""
    arguments = parse_arguments()
    if not arguments.check:
        build(arguments.out, Recipe(arguments.seed, arguments.steps, arguments.tokens_per_step))
        return 0
    try:
        wrong = check(arguments.out)
    except (OSError, ValueError, KeyError) as error:
        print(f"cannot read {arguments.out / RECORD}: {error}", file=sys.stderr)
        return 1
    for name in wrong:
        print(f"{arguments.out / name} is not the recorded file; rebuild it", file=sys.stderr)
    print(f"{len(RECORDED_FILES) - len(wrong)} of {len(RECORDED_FILES)} files as recorded")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
