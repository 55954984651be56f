#!/usr/bin/env bash
# Guess: an attack with a `seed` draws from a generator of its own, or at most advances the global one: what a program
#   draws after an attack still follows from its own seed.
# Seen: torchattacks 3.5.1. APGD (APGDT, FAB and Square as well) sets torch's global seed, to 0 by default, each time
#   that it is called. Two programs with different seeds draw the same numbers from the first attack on: the same
#   shuffling and augmentation in adversarial training, the same "independent" repetitions of an experiment.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > draw.py <<'PYTHON'
import sys

import torch
import torchattacks

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
torch.nn.init.constant_(model[1].weight, 0.01)
images = torch.full((4, 1, 28, 28), 0.5)
torch.manual_seed(int(sys.argv[1]))
if sys.argv[2] == "attack":
    torchattacks.APGD(model, norm="L2", eps=0.1, steps=3)(images, model(images).argmax(1))
print(torch.randint(10**9, (3,)).tolist())
PYTHON
draw() { environment/bin/python draw.py "$@"; }
[ "$(draw 1 none)" != "$(draw 2 none)" ] || { echo "seeds do not matter at all" >&2; exit 1; }
echo "seed 1, after APGD: $(draw 1 attack)"
echo "seed 2, after APGD: $(draw 2 attack)"
[ "$(draw 1 attack)" = "$(draw 2 attack)" ] || { echo "this has changed: the same numbers were seen" >&2; exit 1; }
