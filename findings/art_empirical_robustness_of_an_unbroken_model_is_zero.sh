#!/usr/bin/env bash
# Guess: ART's `empirical_robustness`, the mean smallest perturbation that an attack finds relative to the image, is
#   infinite or NaN where the attack finds none, or counts such images at the largest eps at least.
# Seen: ART 1.20.1. It is the mean over the images that were fooled, and 0.0 where none was, the number of a model that
#   any perturbation fools. Attacked up to 0.2, models whose boundary is 0.05, 0.15 and 0.25 away (of a pixel of 0.5) have
#   robustness 0.12, 0.32 and 0.00: in a table the last is the worst.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests packaging \
    adversarial-robustness-toolbox==1.20.1

cat > robustness.py <<'PYTHON'
import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from art.metrics import empirical_robustness

images = np.full((10, 1, 2, 2), 0.5, np.float32)
for boundary in (0.45, 0.35, 0.25):  # class 0 is where the mean of the pixels is above
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0] * 4, [0.0] * 4]))
        model[1].bias.copy_(torch.tensor([-4 * boundary, 0]))
    classifier = PyTorchClassifier(
        model, torch.nn.CrossEntropyLoss(), (1, 2, 2), 2, clip_values=(0, 1), device_type="cpu"
    )
    robustness = empirical_robustness(classifier, images, "fgsm", {"eps": 0.2, "eps_step": 0.02})
    print(f"boundary at {0.5 - boundary:.2f}: robustness {robustness:.2f}")
PYTHON
environment/bin/python robustness.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "boundary at 0.05: robustness 0.12" "boundary at 0.15: robustness 0.32" \
    "boundary at 0.25: robustness 0.00" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
