#!/usr/bin/env bash
# Guess: a model exported with `Dim("n", min=2, max=64)` refuses batches outside of that range, both ways.
# Seen: torch 2.13.0. A batch of 65 raises "Guard failed"; a batch of 1 is answered, although the least size is stated, and
#   although the exported graph may hold only for two images and more. Whoever asks images one at a time, as the
#   check of an adversarial does, gets no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6

cat > ask.py <<'PYTHON'
import torch
from torch.export import Dim, export

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images = torch.rand(65, 1, 28, 28)
program = export(model, (images[:8],), dynamic_shapes=({0: Dim("n", min=2, max=64)},)).module()
for n in (1, 2, 64, 65):
    try:
        print(f"batch of {n}: answer of shape {tuple(program(images[:n]).shape)}")
    except AssertionError as error:
        print(f"batch of {n}: {str(error).splitlines()[0]}")
PYTHON
environment/bin/python ask.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "batch of 1: answer of shape (1, 10)" "batch of 2: answer of shape (2, 10)" \
    "batch of 64: answer of shape (64, 10)" "batch of 65: Guard failed: input.size()[0] <= 64" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
