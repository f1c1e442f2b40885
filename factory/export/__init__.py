"""The release: what ships is what was measured.

release.py        the folder: copied, hashed, swapped in whole
proof.py          ask the child process that compares every produced file with the adapter
proof_worker.py  parity.py    that process, and the logits it puts side by side
answers.py        greedy answers of every produced file against the adapter's
gguf_tensors.py   what a GGUF really holds: tensor types, finite values
ollama.py         a Go template that provably renders like the model's own
go_template.py    the part of Go's text/template which that proof needs
modelfile.py  model_card.py  metadata.py    the texts that ship
leaks.py          secrets and machine paths that must not ship
report.py  gate.py    verification.json, and what it has to show
hub.py            upload to the Hugging Face Hub
"""
