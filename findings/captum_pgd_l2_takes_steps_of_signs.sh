#!/usr/bin/env bash
# Guess: captum's PGD with norm="L2" takes steps along the normalised gradient, as Madry's L2 attack, Foolbox and
#   torchattacks do: one step of size 0.1 moves an image by 0.1.
# Seen: captum 0.8.0. The step is FGSM's in either norm: every pixel moves by 0.1, the image by 0.1 · √784 = 2.8, after
#   which it is projected onto the ball. With a step size that suits the radius, a fifth of it say, the first step leaves
#   the ball and each further one goes between corners of a cube: an attack far from the one that its name promises.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 matplotlib==3.11.2 tqdm==4.70.1 packaging==25.0
environment/bin/pip install --quiet --no-deps captum==0.8.0

cat > step.py <<'PYTHON'
import torch
from captum.robust import PGD

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10)).eval()
images, labels = torch.full((4, 1, 28, 28), 0.5), torch.arange(4)
attack = PGD(model, lower_bound=0, upper_bound=1)
moved = attack.perturb(images, radius=100.0, step_size=0.1, step_num=1, target=labels, norm="L2") - images
print(f"an image moves by {moved.flatten(1).norm(dim=1).mean():.2f}")
print(f"its pixels move by {moved.abs().min():.2f} to {moved.abs().max():.2f}")
PYTHON
environment/bin/python step.py > seen 2> log || { cat log >&2; exit 1; }
cat seen
printf '%s\n' "an image moves by 2.80" "its pixels move by 0.10 to 0.10" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
