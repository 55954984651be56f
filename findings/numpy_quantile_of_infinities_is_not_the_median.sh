#!/usr/bin/env bash
# Guess: the quantile at one half is the median, and pandas' and NumPy's answers agree. Of four distances of which two
#   are infinite, as where an attack failed, both are infinite: the mean of 2 and ∞.
# Seen: NumPy 2.4.6, pandas 3.1.1. The median is ∞, the quantile and the percentile are NaN, since they interpolate by
#   a difference, ∞ - ∞ or 0 · ∞. pandas has both: `median()` is ∞, `quantile()` and the 50% of `describe()` are NaN.
# A table of such quantiles has an empty cell where the model is most robust.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet numpy==2.4.6 pandas==3.1.1

cat > medians.py <<'PYTHON'
import warnings

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
distances = [1.0, 2.0, np.inf, np.inf]
series = pd.Series(distances)
print("numpy.median:", np.median(distances))
print("numpy.quantile:", np.quantile(distances, 0.5))
print("numpy.percentile:", np.percentile(distances, 50))
print("pandas.Series.median:", series.median())
print("pandas.Series.quantile:", series.quantile(0.5))
print("pandas.Series.describe:", series.describe()["50%"])
PYTHON
environment/bin/python medians.py > seen
cat seen
printf '%s\n' "numpy.median: inf" "numpy.quantile: nan" "numpy.percentile: nan" "pandas.Series.median: inf" \
    "pandas.Series.quantile: nan" "pandas.Series.describe: nan" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
