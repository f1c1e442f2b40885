"""Does a GGUF file cut text into the same tokens as the tokenizer that the model was trained with?

The file's pre-tokenizer is only a name (see pretokenizer.py), and a wrong one loads
without a complaint. So the two are compared, token id by token id, on texts that tell
pre-tokenizers apart.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.errors import DataError

# Each line is one thing that pre-tokenizers are known to disagree about.
TRICKY_TEXTS = (
    "Hello, world!",
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    " leading space and trailing space ",
    "two  spaces,   three, and\ttabs\t\t\tin a row",
    "line\nbreaks\r\nof\n\nevery\n \n kind\n\n\n",
    "   \n  \t\n",
    "I'm you're he'd WE'LL THEY'VE it's IT'S don\u2019t",
    "1 12 123 1234 12345 1,234.56 0x7E0DB 3.14159 ١٢٣ Ⅷ ½",
    "camelCase snake_case kebab-case SCREAMING_CASE v1.2.3-rc.4",
    'def f(x):\n    return {"a": [1, 2.5e-3], "b": None}  # comment\n',
    '{"name": "read_memory", "arguments": {"address": "0x7E0DBE", "count": 16}}',
    "C:\\path\\to\\file.sfc /usr/local/lib ../../a.b?c=d&e=%20#frag",
    "==== ---- .... !!!! ???? ((())) [[[]]] <<>> &&|| $$ ^^ ~~ ``` ''' \"\"\"",
    "naïve café Straße Ærøskøbing ça façade œuvre",
    "Привет, мир! Γειά σου Κόσμε. שלום עולם مرحبا بالعالم",
    "日本語のテキスト、中文文本。한국어 텍스트 ไทย हिन्दी বাংলা",
    "🙂 👩\u200d👩\u200d👧\u200d👦 🏳\ufe0f\u200d🌈 🇩🇪 ✅ ∑∫√≠≤ →⇒ ☃",
    "zero\u200bwidth soft\u00adhyphen no break\ufeff bom",
    "MixedАлфавит日本と123numbers_and-symbols!?",
    "a" * 70 + " " * 20 + "b" * 3,
    "https://example.org/a_b?q=1&r=%C3%A9 me@example.org #tag @user",
)


@dataclass(frozen=True)
class Mismatch:
    """One text that the GGUF file and the tokenizer cut differently."""

    text: str
    expected: list[int]
    actual: list[int]


def tokenizer_mismatches(
    gguf: Path, tokenizer_folder: Path, texts: Iterable[str] = TRICKY_TEXTS
) -> list[Mismatch]:
    """Return the texts on which `gguf` and the tokenizer of `tokenizer_folder` disagree.

    Compared are the ids without BOS, with special tokens in the text recognised as such.
    Texts are NFC-normalised first: llama.cpp normalises nothing, tokenizers of the Qwen family
    do, so a caller at run time has to hand NFC to llama.cpp as well. Loads the vocabulary only.
    Raises DataError if one of the two cannot be loaded.
    """
    reference = _load_tokenizer(tokenizer_folder)
    mismatches = []
    with closing(_load_vocabulary(gguf)) as vocabulary:
        for text in texts:
            composed = unicodedata.normalize("NFC", text)
            expected = list(reference.encode(composed, add_special_tokens=False))
            actual = vocabulary.tokenize(composed.encode("utf-8"), add_bos=False, special=True)
            if actual != expected:
                mismatches.append(Mismatch(text, expected, actual))
    return mismatches


def _load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataError(f"no tokenizer can be loaded: {error}", where=str(folder)) from None


def _load_vocabulary(gguf: Path) -> Any:
    from llama_cpp import Llama

    try:
        return Llama(str(gguf), vocab_only=True, verbose=False)
    except (OSError, ValueError) as error:
        raise DataError(f"llama.cpp cannot load it: {error}", where=str(gguf)) from None
