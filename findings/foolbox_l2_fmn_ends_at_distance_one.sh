#!/usr/bin/env bash
# Guess: Foolbox's L2FMNAttack, a minimum-norm attack, ends near the boundary of a linear model, as DDN does from the
#   same number of steps: the paper's attack (Pintor et al. 2021) projects onto a ball that it shrinks.
# Seen: Foolbox 3.3.4. Its L2 projection scales by the norms divided by themselves, and so does nothing. The first step,
#   of length `max_stepsize` = 1, is kept, and nothing shrinks it: every distance is 1.00, where DDN's are below 0.6. The
#   L∞ and L0 versions project.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 foolbox==3.3.4

cat > attack.py <<'PYTHON'
import foolbox
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images = 0.5 + 0.2 * torch.randn(8, 1, 28, 28).clamp(-2, 2)
labels = model(images).argmax(dim=1)
bounded = foolbox.PyTorchModel(model, bounds=(0, 1))
for attack in (foolbox.attacks.L2FMNAttack(steps=50), foolbox.attacks.DDNAttack(steps=50)):
    found, _, fooled = attack(bounded, images, labels, epsilons=None)
    size = (found - images).flatten(1).norm(dim=1)
    range_ = "all 1.00" if ((size - 1).abs() < 0.005).all() else "all below 0.6" if (size < 0.6).all() else str(size)
    print(f"{type(attack).__name__}: {int(fooled.sum())} of 8 fooled, distances {range_}")
PYTHON
environment/bin/python attack.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "L2FMNAttack: 8 of 8 fooled, distances all 1.00" "DDNAttack: 8 of 8 fooled, distances all below 0.6" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
