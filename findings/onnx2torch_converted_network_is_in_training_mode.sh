#!/usr/bin/env bash
# Guess: an ONNX file holds a network for inference, so that what onnx2torch makes of it answers as the file says.
# Seen: onnx2torch 1.5.15, onnx 1.22.0, torch 2.13.0. The network is in training mode: batch normalisation takes the mean and
#   variance of whatever is asked together, and moves its own with every query. Asked once before `eval()`, as an attack or a
#   check of shapes does, it disagrees with the file afterwards, too. (Of torchvision only the names of two operators for
#   detection are imported; the stand-in below has them.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet torch==2.13.0 numpy==2.4.6 onnx==1.22.0
environment/bin/pip install --quiet --no-deps onnx2torch==1.5.15
mkdir torchvision
echo "from . import ops" > torchvision/__init__.py
echo "nms = roi_align = None" > torchvision/ops.py

cat > convert.py <<'PYTHON'
import numpy as np
import onnx2torch
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

constants = {"scale": 1, "bias": 0, "mean": 5, "variance": 4}
model = helper.make_model(
    helper.make_graph(
        [helper.make_node("BatchNormalization", ["x", *constants], ["y"])],
        "normalised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1, 1, 1])],
        [numpy_helper.from_array(np.array([value], np.float32), name) for name, value in constants.items()],
    ),
    opset_imports=[helper.make_opsetid("", 15)],
)
x = np.array([1, 3], np.float32).reshape(2, 1, 1, 1)


def rounded(answers):
    return [round(answer, 2) for answer in answers.reshape(-1).tolist()]


print("the file:", rounded(ReferenceEvaluator(model).run(None, {"x": x})[0]))
network = onnx2torch.convert(model)
print("training:", network.training)
print("as converted:", rounded(network(torch.from_numpy(x))))
print("eval() afterwards:", rounded(network.eval()(torch.from_numpy(x))))
network = onnx2torch.convert(model).eval()
print("eval() first:", rounded(network(torch.from_numpy(x))))
PYTHON
PYTHONPATH=. environment/bin/python convert.py > seen
cat seen
printf '%s\n' "the file: [-2.0, -1.0]" "training: True" "as converted: [-1.0, 1.0]" \
    "eval() afterwards: [-1.9, -0.87]" "eval() first: [-2.0, -1.0]" > expected
diff expected seen || { echo "this has changed" >&2; exit 1; }
