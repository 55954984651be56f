#!/usr/bin/env bash
# Guess: AttackBench's area under the curve of robust accuracy, whose least value is 0 and which is larger for a more robust
#   model, begins at distance 0: moving all adversarials 1 farther away adds 1.
# Seen: attackbenchlib 2.0.2. The curve begins at the nearest adversarial, and its area to the left of it, where all images
#   are robust, is left out. Distances of 1 to 5 and of 101 to 105 have the same area, 1.6; where all images are at one
#   distance, 1 or 100, it is 0.0. Only the spread counts. (`eval_optimality` of the same package integrates from 0.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet numpy==2.4.6
environment/bin/pip install --quiet --no-deps attackbenchlib==2.0.2

cat > area.py <<'PYTHON'
import sys
from importlib.util import find_spec

import numpy as np

# The module alone: the package imports torch and wandb, which it does not need.
sys.path.insert(0, find_spec("attackbench").submodule_search_locations[0] + "/metrics")
from curves import compute_auc_robust_accuracy, compute_robust_accuracy_curve

for distances in ([1, 2, 3, 4, 5], [101, 102, 103, 104, 105], [1, 1, 1, 1, 1], [100, 100, 100, 100, 100]):
    curve = compute_robust_accuracy_curve(np.array(distances, float), np.full(5, True))
    area = compute_auc_robust_accuracy(curve["thresholds"], curve["robust_accuracies"])
    print(f"distances {distances}: mean {np.mean(distances)}, area {area:.1f}")
PYTHON
environment/bin/python area.py > seen
cat seen
printf '%s\n' "distances [1, 2, 3, 4, 5]: mean 3.0, area 1.6" \
    "distances [101, 102, 103, 104, 105]: mean 103.0, area 1.6" \
    "distances [1, 1, 1, 1, 1]: mean 1.0, area 0.0" \
    "distances [100, 100, 100, 100, 100]: mean 100.0, area 0.0" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
