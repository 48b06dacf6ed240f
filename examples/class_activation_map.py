"""Class activation map step by step (Zhou et al. 2016): features, head, and the identity between map and logit.

python examples/class_activation_map.py PHOTO HEATMAP.png
"""

import sys
from pathlib import Path

import numpy as np

import ganvas
from ganvas.localization import load_classifier, overlay
from ganvas.localization.cam import class_map, heat


def main(photo: Path, target: Path) -> str:
    """Write the heat map of the most likely ImageNet class, and return the class."""
    classifier = load_classifier("imagenet")
    rgb = ganvas.read_image(photo).as_rgb8()
    evidence = classifier.evidence(rgb)
    k = int(evidence.scores.argmax())

    # M_k = sum_c W[k, c] F[c]; its mean plus the bias is the logit of class k, exactly.
    logits = evidence.head @ evidence.features.mean(axis=(1, 2)) + evidence.bias
    assert np.isclose(class_map(evidence, k).mean() + evidence.bias[k], logits[k], atol=1e-4)

    picture = overlay(rgb, heat(evidence, k, height=rgb.shape[0], width=rgb.shape[1]))
    ganvas.write_image(target, ganvas.Picture(picture))
    return classifier.class_names[k]


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))
