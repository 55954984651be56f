#!/usr/bin/env bash
# Guess: an attack asks for gradients of the image alone (`torch.autograd.grad`), as torchattacks' PGD does, and leaves
#   the weights' `.grad` as it was.
# Seen: torchattacks 3.5.1. DeepFool (SparseFool and JSMA as well) calls `backward()`, and adds the gradients of all its
#   steps to the `.grad` of every weight that takes one. An optimiser step taken next, in adversarial training with
#   `zero_grad()` before the attack, follows them: the weights change without any loss of the training.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > step.py <<'PYTHON'
import torch
import torchattacks

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images = torch.rand(4, 1, 28, 28)
labels = model(images).argmax(1)
for name, attack in {"PGDL2": torchattacks.PGDL2, "DeepFool": torchattacks.DeepFool}.items():
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model[1].weight.detach().clone()
    optimizer.zero_grad()
    attack(model)(images, labels)
    optimizer.step()
    print(f"{name}: the weights {'are as they were' if torch.equal(before, model[1].weight) else 'have changed'}")
PYTHON
environment/bin/python step.py > seen
cat seen
printf '%s\n' "PGDL2: the weights are as they were" "DeepFool: the weights have changed" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
