#!/usr/bin/env bash
# Guess: torchattacks' Carlini & Wagner attack compares logits with each other, so a constant added to all of them changes
#   nothing: neither a decision nor a probability depends on it.
# Seen: torchattacks 3.5.1. The logits of the other classes, and of all but the label's, are set to 0 before the largest is
#   taken. Where all logits are negative both are that 0, and the loss has no gradient: with 100 subtracted no image is
#   fooled, where all are without it, and so it is for a model that answers with log-probabilities. Clean images come
#   back, and no message: infinitely robust. The Carlini & Wagner attack of Foolbox fools all three.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests foolbox==3.3.4
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > attack.py <<'PYTHON'
import foolbox
import torch
import torchattacks


class Minus100(torch.nn.Module):
    def forward(self, logits):
        return logits - 100


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images = 0.5 + 0.2 * torch.randn(8, 1, 28, 28).clamp(-2, 2)
labels = model(images).argmax(1)
layers = {"logits": torch.nn.Identity(), "logits - 100": Minus100(), "log-probabilities": torch.nn.LogSoftmax(1)}
for name, last in layers.items():
    answers = torch.nn.Sequential(model, last).eval()
    found = torchattacks.CW(answers, c=1, steps=100)(images, labels)
    bounded = foolbox.PyTorchModel(answers, bounds=(0, 1))
    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=1, steps=100, initial_const=1)
    _, _, fooled = attack(bounded, images, labels, epsilons=None)
    changed = int((found != images).flatten(1).any(1).sum())
    print(
        f"{name}: torchattacks fools {int((model(found).argmax(1) != labels).sum())} of 8 and changes {changed},"
        f" Foolbox fools {int(fooled.sum())}"
    )
PYTHON
environment/bin/python attack.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "logits: torchattacks fools 8 of 8 and changes 8, Foolbox fools 8" \
    "logits - 100: torchattacks fools 0 of 8 and changes 0, Foolbox fools 8" \
    "log-probabilities: torchattacks fools 0 of 8 and changes 0, Foolbox fools 8" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
