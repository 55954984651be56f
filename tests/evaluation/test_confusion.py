"""Which classes adversarials are taken for, counted by hand."""

import numpy as np

from absynth.evaluation.confusion import adversarial_classes


def test_images_without_an_adversarial_are_left_out():
    label = np.array([3, 1, 1, 1, 3])
    prediction = np.array([5, 2, 2, 0, 3])
    distance = np.array(
        [1.0, 0.5, 2.0, 0.0, np.inf]
    )  # the fourth is misclassified, on the last every attack failed
    assert adversarial_classes(label, prediction, distance) == [
        {"label": 1, "adversarial_class": 2, "n": 2},
        {"label": 3, "adversarial_class": 5, "n": 1},
    ]
    nothing = np.zeros(0, int)
    assert adversarial_classes(nothing, nothing, np.zeros(0)) == []
