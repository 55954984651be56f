#!/usr/bin/env bash
# Guess: ART's `compute_success(classifier, x, labels, x_adv)`, untargeted, is the share of images that are not
#   classified as their labels, which it asks for: "correct labels" in its documentation.
# Seen: ART 1.20.1. The labels are not looked at: counted are the images whose prediction has changed. Of eight images, four
#   of them misclassified, the unchanged ones are a success of 0.0, where half are misclassified; and images that went from
#   the wrong class to the right one are a success of 0.5, where all are correctly classified.
# 1 - success, written down as robust accuracy, is too high by the misclassified images.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests packaging \
    adversarial-robustness-toolbox==1.20.1

cat > success.py <<'PYTHON'
import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from art.utils import compute_success, to_categorical

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)).eval()
with torch.no_grad():
    model[1].weight.copy_(torch.tensor([[1.0, 1, 1, 1], [0, 0, 0, 0]]))
    model[1].bias.copy_(torch.tensor([-2.0, 0]))
classifier = PyTorchClassifier(
    model, torch.nn.CrossEntropyLoss(), (1, 2, 2), 2, clip_values=(0, 1), device_type="cpu"
)
black, white = np.zeros((4, 1, 2, 2), np.float32), np.ones((4, 1, 2, 2), np.float32)
labels = np.ones(8, int)  # the model says 1 of black images and 0 of white ones
images = np.concatenate([black, white])
for name, found in {"unchanged": images, "all black": np.concatenate([black, black])}.items():
    wrong = np.mean(classifier.predict(found).argmax(1) != labels)
    success = compute_success(classifier, images, to_categorical(labels, 2), found)
    print(f"{name}: {wrong} misclassified, success {success}")
PYTHON
environment/bin/python success.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "unchanged: 0.5 misclassified, success 0.0" "all black: 0.0 misclassified, success 0.5" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
