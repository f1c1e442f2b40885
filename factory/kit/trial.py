"""Does the compiled llama.cpp compute, and the same for many tokens at once as for one by one?

`python -m factory.kit.trial`: a process of its own, since what a compiler got wrong for this
processor may end it at the first batch.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory import child

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TYPES = ("F32", "F16", "Q8_0")
VOCABULARY, WIDTH, FORWARD, HEADS = 96, 64, 128, 2
TOKENS, CONTEXT = 40, 256
TOLERANCE = 0.05  # of logits whose deviation is about 1; a Q8_0 weight has 8 bits
WALL_SECONDS = 60
DIFFERS = 3  # exit code; an exception's is 1, a signal's is negative


def problems() -> list[str]:
    """What is wrong with the installed llama.cpp, found out in a child; empty if nothing."""
    try:
        done = subprocess.run(
            child.python("factory.kit.trial"),
            capture_output=True,
            text=True,
            timeout=WALL_SECONDS,
            preexec_fn=child.die_with_parent,
        )
    except subprocess.TimeoutExpired:
        return [f"llama.cpp did not compute {TOKENS} tokens within {WALL_SECONDS} s"]
    if done.returncode == 0:
        return []
    raised = done.returncode == 1
    said = (done.stderr if raised else done.stdout).strip().splitlines()[-1:] or ["no message"]
    return [f"llama.cpp does not compute here (exit code {done.returncode}): {said[0]}"]


def write_model(path: Path, name: str) -> None:
    """Write a Llama of one layer with seeded random weights of type `name` as GGUF."""
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    kind = GGMLQuantizationType[name]
    writer = GGUFWriter(path, "llama")
    writer.add_tokenizer_model("no_vocab")
    writer.add_vocab_size(VOCABULARY)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FORWARD)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    random = np.random.default_rng(0)
    for tensor, shape in _shapes().items():
        if len(shape) == 1:
            writer.add_tensor(tensor, np.ones(shape, np.float32))
            continue
        weights = random.normal(size=shape).astype(np.float32) / np.sqrt(np.float32(shape[1]))
        writer.add_tensor(tensor, quants.quantize(weights, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _shapes() -> dict[str, tuple[int, ...]]:
    """The tensors by llama.cpp's names, [outputs, inputs]."""
    layer = {f"attn_{part}": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
    layer |= {
        "ffn_gate": (FORWARD, WIDTH),
        "ffn_up": (FORWARD, WIDTH),
        "ffn_down": (WIDTH, FORWARD),
    }
    norms = {f"blk.0.{part}_norm.weight": (WIDTH,) for part in ("attn", "ffn")}
    return {
        "token_embd.weight": (VOCABULARY, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (VOCABULARY, WIDTH),
        **norms,
        **{f"blk.0.{part}.weight": shape for part, shape in layer.items()},
    }


def difference(path: Path) -> float:
    """The largest difference between the last logits of a batch and of the same tokens one by one.

    NaN if any of them is no number.
    """
    import llama_cpp
    import numpy as np

    model = llama_cpp.Llama(model_path=str(path), n_ctx=CONTEXT, n_gpu_layers=0, verbose=False)
    tokens = [token % VOCABULARY for token in range(7, 7 + TOKENS)]
    try:
        model.eval(tokens)
        at_once = _last_logits(model)
        model.reset()
        for token in tokens:
            model.eval([token])
        return float(np.abs(at_once - _last_logits(model)).max())
    finally:
        model.close()


def _last_logits(model: Any) -> NDArray[np.float32]:
    import llama_cpp
    import numpy as np

    found = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    return np.ctypeslib.as_array(found, shape=(VOCABULARY,)).copy()


def main() -> int:
    """In the child: try every type; the last line on standard output says which one fails."""
    with tempfile.TemporaryDirectory() as folder:
        for name in TYPES:
            print(f"it ended at {name} weights", flush=True)
            path = Path(folder) / f"{name}.gguf"
            write_model(path, name)
            found = difference(path)
            if not found <= TOLERANCE:
                print(f"with {name} weights a batch differs by {found:.3g} from its tokens")
                return DIFFERS
    return 0


if __name__ == "__main__":
    sys.exit(main())
