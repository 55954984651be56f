#!/usr/bin/env bash
# Guess: the random start of an L2 PGD ("uniformly random point", says the source) is uniform in the ball, so that in
#   784 dimensions practically every start lies at its surface: half of the ball's volume is beyond 0.999 of the radius.
# Seen: torchattacks 3.5.1. The radius is uniform in [0, eps]: half of the starts are nearer than 0.5 eps, one in
#   twenty nearer than 0.05 eps. Foolbox 3.3.4 draws uniformly in the ball. Restarts of the two do not compare.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 scipy==1.17.1 tqdm requests foolbox==3.3.4
environment/bin/pip install --quiet --no-deps torchattacks==3.5.1

cat > start.py <<'PYTHON'
import eagerpy
import foolbox
import torch
import torchattacks

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images, labels = torch.full((1000, 1, 28, 28), 0.5), torch.zeros(1000, dtype=torch.int64)
starts = {
    "torchattacks": torchattacks.PGDL2(model, eps=1.0, steps=0)(images, labels),
    "foolbox": foolbox.attacks.L2PGD().get_random_start(eagerpy.astensor(images), 1.0).raw,
}
for name, start in starts.items():
    radius = (start - images).flatten(1).norm(dim=1)
    print(f"{name}: {round(100 * (radius < 0.6).float().mean().item(), -1):.0f} % of the starts within 0.6 eps")
PYTHON
environment/bin/python start.py > seen
cat seen
printf '%s\n' "torchattacks: 60 % of the starts within 0.6 eps" "foolbox: 0 % of the starts within 0.6 eps" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
