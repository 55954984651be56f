#!/usr/bin/env bash
# Guess: secml-torch's own FMN, which takes a loader and goes through it, takes a last batch that is smaller than the others.
# Seen: secml-torch 1.5, torch 2.13.0. It raises: the radii of the batch before are still set where the next begins, one for
#   each of its images. So the number of images must be a multiple of the batch, for an attack made anew as well.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6
environment/bin/pip install --quiet --no-deps secml-torch==1.5

cat > batches.py <<'PYTHON'
import torch
from secmlt.adv.evasion.fmn import FMN
from secmlt.models.pytorch.base_pytorch_nn import BasePyTorchClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
network = nn.Linear(64, 3)
x = torch.rand(6, 64)
y = network(x).argmax(dim=1)
for size in (6, 3, 4):
    attack = FMN(perturbation_model="l2", num_steps=100, step_size=1.0, backend="native")
    try:
        found = attack(BasePyTorchClassifier(network), DataLoader(TensorDataset(x, y), batch_size=size))
    except RuntimeError as error:
        print(f"batches of {size}: {error}")
    else:
        fooled = sum(int((network(adversarials).argmax(dim=1) != labels).sum()) for adversarials, labels in found)
        print(f"batches of {size}: fooled on {fooled} of 6")
PYTHON
environment/bin/python batches.py > seen
cat seen
printf '%s\n' "batches of 6: fooled on 6 of 6" "batches of 3: fooled on 6 of 6" \
    "batches of 4: The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension 0" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
