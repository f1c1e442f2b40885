"""Parts of the embedded base model: its words, its pre-training text and its tokenizer."""
