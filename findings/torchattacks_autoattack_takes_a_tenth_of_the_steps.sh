#!/usr/bin/env bash
# Guess: torchattacks' AutoAttack(version="standard") is the published AutoAttack: APGD on the cross entropy, targeted
#   APGD and FAB with 100 iterations each, and Square with 5,000 queries.
# Seen: torchattacks 3.5.1. The two APGD and FAB are made with their own default of 10 iterations, and there is no
#   argument to change that. Square alone has its budget. "AutoAttack accuracy" of the two libraries is not the same
#   quantity: the published one takes ten times as many gradients.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > budgets.py <<'PYTHON'
import torch
import torchattacks

model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
attack = torchattacks.AutoAttack(model, norm="Linf", eps=0.1, version="standard", seed=0)
for part in attack._autoattack.attacks:
    budget = f"{part.n_queries} queries" if hasattr(part, "n_queries") else f"{part.steps} steps"
    print(f"{type(part).__name__}: {budget}")
PYTHON
environment/bin/python budgets.py > seen
cat seen
printf '%s\n' "APGD: 10 steps" "APGDT: 10 steps" "FAB: 10 steps" "Square: 5000 queries" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
