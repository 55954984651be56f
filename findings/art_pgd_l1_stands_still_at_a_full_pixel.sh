#!/usr/bin/env bash
# Guess: ART's projected gradient descent with `norm=1` spreads its budget over pixels: once one is black or white, the
#   next steps go to others, until the perturbation has size eps.
# Seen: ART 1.20.1. Each step goes to the one pixel of the largest gradient, also where the clip at 0 or 1 takes it back at
#   once. On a linear model 100 steps change one pixel of 784, by at most 1 of a budget of 10, and fool 3 of 32 images; pixel
#   after pixel in order of the gradient, within the same budget, fools 31. `FastGradientMethod` of norm 1 is the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests packaging \
    adversarial-robustness-toolbox==1.20.1

cat > attack.py <<'PYTHON'
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 2)).eval()
images = torch.rand(32, 1, 28, 28)
labels = model(images).argmax(1)
classifier = PyTorchClassifier(
    model, torch.nn.CrossEntropyLoss(), (1, 28, 28), 2, clip_values=(0, 1), device_type="cpu"
)
attack = ProjectedGradientDescent(classifier, norm=1, eps=10.0, eps_step=1.0, max_iter=100, verbose=False)
found = torch.tensor(attack.generate(images.numpy(), labels.numpy()))


def report(name, found):
    change = (found - images).flatten(1).abs()
    fooled, pixels = int((model(found).argmax(1) != labels).sum()), (change > 1e-6).sum(1)
    rate = "fewer than 8" if fooled < 8 else "more than 24" if fooled > 24 else fooled
    moved = "1 pixel" if (pixels == 1).all() else "10 pixels or more" if (pixels >= 10).all() else pixels.tolist()
    print(f"{name}: {rate} of 32 fooled, {moved} changed, size at most {change.sum(1).max():.1f}")


report("ART", found)
uphill = (model[1].weight[1 - labels] - model[1].weight[labels]).detach()
start = images.flatten(1)
room = torch.where(uphill > 0, 1 - start, start)
order = uphill.abs().argsort(1, descending=True)
left = (10 - room.gather(1, order).cumsum(1) + room.gather(1, order)).clamp_min(0)
step = torch.zeros_like(start).scatter(1, order, torch.minimum(room.gather(1, order), left)) * uphill.sign()
report("pixel after pixel", (start + step).view_as(images))
PYTHON
environment/bin/python attack.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "ART: fewer than 8 of 32 fooled, 1 pixel changed, size at most 1.0" \
    "pixel after pixel: more than 24 of 32 fooled, 10 pixels or more changed, size at most 10.0" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
