#!/usr/bin/env bash
# Guess: torchattacks' Carlini & Wagner attack may change any pixel, as the attack of the paper does, which shrinks the
#   image a little before it takes the inverse of tanh.
# Seen: torchattacks 3.5.1. Pixels that are exactly 0 or 1 never move: the inverse of tanh is infinite there, and its
#   slope zero. On a black-and-white image the attack returns what it was given, whatever its options, without a word;
#   the same image drawn in [0.05, 0.95] is fooled at once.
# Most pixels of MNIST are exactly 0, and the attack's failures there look like robustness.
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
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
binary = (torch.rand(8, 1, 28, 28) > 0.5).float()
for name, images in {"black and white": binary, "in [0.05, 0.95]": 0.05 + 0.9 * binary}.items():
    labels = model(images).argmax(1)
    found = torchattacks.CW(model, c=10, steps=500, lr=0.05)(images, labels)
    fooled = int((model(found).argmax(1) != labels).sum())
    print(f"{name}: {fooled} of 8 fooled, {'all' if (found != images).all() else int((found != images).sum())} pixels moved")
PYTHON
environment/bin/python attack.py > seen
cat seen
printf '%s\n' "black and white: 0 of 8 fooled, 0 pixels moved" \
    "in [0.05, 0.95]: 8 of 8 fooled, all pixels moved" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
