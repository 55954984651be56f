#!/usr/bin/env bash
# Guess: making adversarials with ART in the middle of a training loop leaves the model in training mode, or puts it
#   back, as torchattacks does: attacks and predictions are asked of it, nothing is set.
# Seen: ART 1.20.1. `predict`, and with it every attack, calls `train(mode=False)` and leaves it at that. The rest of
#   the epoch trains without dropout and with frozen batch statistics, and no message says so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests packaging \
    adversarial-robustness-toolbox==1.20.1
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > mode.py <<'PYTHON'
import torch
import torchattacks
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(784, 10))
images, labels = torch.rand(4, 1, 28, 28), torch.tensor([0, 1, 2, 3])
classifier = PyTorchClassifier(
    model, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, clip_values=(0, 1), device_type="cpu"
)


def mode(name, attack):
    model.train()
    attack()
    print(f"after {name}: {'training' if model.training else 'evaluation'} mode")


mode("torchattacks", lambda: torchattacks.FGSM(model)(images, labels))
mode("ART", lambda: FastGradientMethod(classifier, eps=0.1).generate(images.numpy(), labels.numpy()))
PYTHON
environment/bin/python mode.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "after torchattacks: training mode" "after ART: evaluation mode" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
