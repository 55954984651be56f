#!/usr/bin/env bash
# Guess: -1, the class of an image without a prediction, written into a dataset of uint8 is an error, as it is in NumPy for
#   a number, or wraps to 255, as it does in NumPy for an array, and is seen at once; and `dataset.astype("u1")[:]` is
#   `dataset[:].astype("u1")`, read with less memory.
# Seen: h5py 3.16.0. HDF5 converts, and clamps to the range: -1 becomes class 0, without a warning, on writing as on reading
#   with `astype`. An accuracy counts images without a prediction as hits of class 0. (256 becomes 255, where NumPy has 0.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet numpy==2.4.6 h5py==3.16.0

cat > classes.py <<'PYTHON'
import warnings

import h5py
import numpy as np

warnings.simplefilter("error")
predictions = np.array([3, -1, 256])
print("NumPy's assignment:", end=" ")
array = np.zeros(3, np.uint8)
array[:] = predictions
print(array.tolist())
print("NumPy's astype:", predictions.astype("u1").tolist())
with h5py.File("attack.h5", "w") as file:
    file.create_dataset("narrow", 3, "u1")[:] = predictions
    file["wide"] = predictions
    print("written as uint8:", file["narrow"][:].tolist())
    print("read as uint8:", file["wide"].astype("u1")[:].tolist())
    print("read, then NumPy's astype:", file["wide"][:].astype("u1").tolist())
PYTHON
environment/bin/python classes.py > seen
cat seen
printf '%s\n' "NumPy's assignment: [3, 255, 0]" "NumPy's astype: [3, 255, 0]" "written as uint8: [3, 0, 255]" \
    "read as uint8: [3, 0, 255]" "read, then NumPy's astype: [3, 255, 0]" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
