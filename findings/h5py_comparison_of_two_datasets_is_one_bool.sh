#!/usr/bin/env bash
# Guess: `file["prediction"] == file["label"]` compares two datasets value by value, as it does with NumPy's arrays, which
#   an h5py dataset resembles in nearly everything (`shape`, `dtype`, `len`, slices); or it is an error.
# Seen: h5py 3.16.0. It asks whether both are the same dataset of one file, and is one bool: False. The accuracy
#   `np.mean(file["prediction"] == file["label"])` is 0.0, without a warning. One `[:]`, on either side, makes it 1.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet numpy==2.4.6 h5py==3.16.0

cat > accuracy.py <<'PYTHON'
import h5py
import numpy as np

with h5py.File("attack.h5", "w") as file:
    file["label"] = file["prediction"] = np.arange(100) % 10
    print("two datasets:", np.mean(file["prediction"] == file["label"]))
    print("a dataset and a number:", np.mean(file["label"] == 3))
    print("a dataset and an array:", np.mean(file["prediction"] == file["label"][:]))
PYTHON
environment/bin/python accuracy.py > seen
cat seen
printf '%s\n' "two datasets: 0.0" "a dataset and a number: 0.0" "a dataset and an array: 1.0" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
