"""Softmax or sigmoid: scores equal the model's own, and what nothing says is not guessed where it matters."""

import numpy as np
import pytest

from ganvas.errors import ConfigError
from ganvas.image.picture import Box
from ganvas.localization import Evidence
from ganvas.localization.activation import (
    AssumedActivationWarning,
    activate,
    recognize,
    require_activation,
    resolve,
    warn_if_assumed,
)
from ganvas.localization.cam import class_map, evidence_map
from ganvas.localization.finding import default_class

LOGITS = np.array([[1.5, -0.5, 3.0]])


def test_a_sigmoid_never_overflows():
    np.testing.assert_allclose(activate(np.array([-1e4, 0.0, 1e4]), "sigmoid"), [0, 0.5, 1])
    np.testing.assert_allclose(activate(LOGITS, "sigmoid"), 1 / (1 + np.exp(-LOGITS)))
    np.testing.assert_allclose(activate(LOGITS, "softmax").sum(), 1)
    np.testing.assert_array_equal(activate(LOGITS, None), activate(LOGITS, "softmax"))


@pytest.mark.parametrize("kind", [None, "softmax", "sigmoid"])
def test_an_output_tells_what_made_it(kind):
    output = LOGITS if kind is None else activate(LOGITS, kind)
    assert recognize(output, LOGITS, tolerance=1e-4) == {kind}
    if kind is not None:
        assert recognize(np.log(output), LOGITS, tolerance=1e-4) == {kind}


def test_an_output_from_elsewhere_is_nothing():
    assert recognize(activate(20 * LOGITS, "softmax"), LOGITS, tolerance=1e-4) == set()
    assert recognize(LOGITS[:, :2], LOGITS, tolerance=1e-4) == set()
    assert recognize(np.full_like(LOGITS, np.nan), LOGITS, tolerance=1e-4) == set()


def test_the_model_and_the_user_must_agree():
    assert resolve("sigmoid", None, num_classes=3, where="m") == "sigmoid"
    assert resolve(None, "sigmoid", num_classes=3, where="m") == "sigmoid"
    assert resolve(None, None, num_classes=3, where="m") is None
    with pytest.raises(ConfigError, match="ends in a softmax"):
        resolve("softmax", "sigmoid", num_classes=3, where="m")


def test_one_output_is_a_sigmoid():
    assert resolve(None, None, num_classes=1, where="m") == "sigmoid"
    for shown, told in (("softmax", None), (None, "softmax")):
        with pytest.raises(ConfigError, match="always 1"):
            resolve(shown, told, num_classes=1, where="m")


def test_an_assumption_is_said_and_is_not_enough_for_release():
    with pytest.warns(AssumedActivationWarning, match="softmax"):
        warn_if_assumed(None)
    with pytest.raises(ConfigError, match=r"MODEL\.json"):
        require_activation(None)
    warn_if_assumed("sigmoid")
    assert require_activation("sigmoid") == "sigmoid"


def test_two_labels_by_themselves_have_maps_by_themselves(rng):
    features, head = rng.normal(size=(4, 3, 3)).astype(np.float32), rng.normal(size=(2, 4)).astype(np.float32)
    scores = np.array([0.9, 0.4], np.float32)
    seen = Evidence(scores, features, head, np.zeros(2, np.float32), Box(0, 0, 9, 9), "sigmoid")
    np.testing.assert_array_equal(evidence_map(seen, 1), class_map(seen, 1))
    assert default_class(seen) == 0
    of_two = Evidence(scores, features, head, np.zeros(2, np.float32), Box(0, 0, 9, 9))
    assert default_class(of_two) == 1
    assert not np.allclose(evidence_map(of_two, 1), class_map(of_two, 1))
