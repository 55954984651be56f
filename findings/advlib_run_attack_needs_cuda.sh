#!/usr/bin/env bash
# Guess: adv-lib's `run_attack`, which its documentation shows with any model and takes the device of the model's weights,
#   runs where the model is; on a CPU the time that it reports is a clock's.
# Seen: adv-lib 0.2.8, torch 2.13.0. It measures with CUDA's events whatever the device: without CUDA it raises before the
#   first query, "Tried to instantiate dummy base class Event", of a class that no caller named. The attacks themselves run.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 tqdm "setuptools<81"  # distutils, where Python has none
environment/bin/pip install --quiet --no-deps adv-lib==0.2.8
# It imports these two when it is imported, for attacks and plots that are not used here.
mkdir stand_ins
echo "models = None" > stand_ins/torchvision.py
touch stand_ins/visdom.py

cat > attack.py <<'PYTHON'
from functools import partial

import torch
from adv_lib.attacks import ddn
from adv_lib.utils.attack_utils import run_attack

if torch.cuda.is_available():
    raise SystemExit("this machine has CUDA, so that nothing can be seen here")
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images = 0.5 + 0.1 * torch.randn(8, 1, 28, 28).clamp(-2, 2)
labels = model(images).argmax(1)
attack = partial(ddn, steps=20)
print(f"ddn fools {int((model(attack(model, images, labels)).argmax(1) != labels).sum())} of 8")
try:
    run_attack(model, images, labels, attack)
except RuntimeError as error:
    print(f"run_attack: {error}")
PYTHON
PYTHONPATH=stand_ins environment/bin/python attack.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "ddn fools 8 of 8" "run_attack: Tried to instantiate dummy base class Event" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
