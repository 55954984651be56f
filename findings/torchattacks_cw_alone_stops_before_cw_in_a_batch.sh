#!/usr/bin/env bash
# Guess: torchattacks' Carlini & Wagner attack draws no random numbers and gives each image variables of its own, so an
#   image's result does not depend on the others of its batch, beyond rounding.
# Seen: torchattacks 3.5.1. After each tenth of the steps the loss of the whole batch is compared with the last one, and
#   all images stop once it has risen, which no option turns off. Of 64 images of a two-layer network that are attacked
#   one at a time, 13 are found more than a tenth farther away than in one batch, one three times as far. Distances
#   depend on `batch_size`, and the last image of a data set may stand alone in its batch.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > attack.py <<'PYTHON'
import torch
import torchattacks

torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Flatten(), torch.nn.Linear(784, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
).eval()
with torch.no_grad():
    for parameter in model.parameters():
        parameter *= 3
    model[3].bias += 100
images = 0.5 + 0.2 * torch.randn(64, 1, 28, 28).clamp(-2, 2)
labels = model(images).argmax(1)
attack = torchattacks.CW(model, c=1, steps=100)
distances = {}
for size in (64, 1):
    found = torch.cat([attack(*part) for part in zip(images.split(size), labels.split(size))])
    distances[size] = (found - images).flatten(1).norm(dim=1)
    print(f"batches of {size}: {int((model(found).argmax(1) != labels).sum())} of 64 fooled")
ratio = distances[1] / distances[64]
far = int((ratio > 1.1).sum())
print(
    f"alone, {'8 or more' if far >= 8 else far} are found a tenth farther, one"
    f" {'more than twice' if ratio.max() > 2 else ratio.max()} as far, {int((ratio < 0.9).sum())} a tenth nearer"
)
PYTHON
environment/bin/python attack.py > seen
cat seen
printf '%s\n' "batches of 64: 64 of 64 fooled" "batches of 1: 64 of 64 fooled" \
    "alone, 8 or more are found a tenth farther, one more than twice as far, 0 a tenth nearer" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
