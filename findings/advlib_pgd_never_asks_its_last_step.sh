#!/usr/bin/env bash
# Guess: adv-lib's `pgd_linf` with one step from the clean image, and that step as long as ε, is the fast gradient sign method.
# Seen: adv-lib 0.2.8. It returns the clean images. Each step asks the image before it and keeps the last one that fooled the
#   model, so what the last step leads to is never asked: n steps are n gradients and n - 1 steps. One step fools none of eight
#   images, two fool all, as one step of the same length by hand does. An image that no step fools comes back clean, at a
#   distance of 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 tqdm
environment/bin/pip install --quiet --no-deps adv-lib==0.2.8
# It imports these two when it is imported, for attacks and plots that are not used here.
mkdir stand_ins
echo "models = None" > stand_ins/torchvision.py
touch stand_ins/visdom.py

cat > attack.py <<'PYTHON'
import torch
from adv_lib.attacks import pgd_linf

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images = 0.5 + 0.1 * torch.randn(8, 1, 28, 28).clamp(-2, 2)
labels = model(images).argmax(1)


def report(name, found):
    fooled = int((model(found).argmax(1) != labels).sum())
    changed = int((found != images).flatten(1).any(1).sum())
    print(f"{name}: {changed} of 8 changed, {fooled} fooled")


x = images.clone().requires_grad_(True)
(gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(x), labels), x)
report("one step by hand", (images + 0.1 * gradient.sign()).clamp(0, 1))
for steps in (1, 2):
    found = pgd_linf(model, images, labels, 0.1, steps=steps, random_init=False, relative_step_size=1.0)
    report(f"pgd_linf, steps={steps}", found)
PYTHON
PYTHONPATH=stand_ins environment/bin/python attack.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "one step by hand: 8 of 8 changed, 8 fooled" "pgd_linf, steps=1: 0 of 8 changed, 0 fooled" \
    "pgd_linf, steps=2: 8 of 8 changed, 8 fooled" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
