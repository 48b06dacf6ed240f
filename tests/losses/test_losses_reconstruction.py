import math

import pytest
import torch

from ganvas.losses import feature_matching, mse_loss, patch_nce


def test_only_the_batchs_mean_counts():
    real = torch.randn(4, 3, 2, 2)
    assert feature_matching([real.flip(0)], [real]).item() < 1e-12
    assert feature_matching([real + 2], [real]).item() > 3.9


def test_it_is_the_sum_over_layers_of_mean_squares():
    made, wanted = (
        [torch.randn(4, 3, 2, 2), torch.randn(4, 5, 1, 1)],
        [torch.randn(2, 3, 2, 2), torch.randn(2, 5, 1, 1)],
    )
    by_hand = sum(((m.mean(0) - w.mean(0)) ** 2).mean() for m, w in zip(made, wanted, strict=True))
    torch.testing.assert_close(feature_matching(made, wanted), by_hand)


def test_feature_matching_is_summed_in_float32():
    features = [torch.randn(2, 3, 2, 2).bfloat16()]
    assert feature_matching(features, features).dtype == torch.float32
    assert mse_loss(*features, *features).dtype == torch.float32


def test_feature_matching_is_the_cross_entropy_of_the_paper():
    queries, keys = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    wanted = []
    for picture in range(3):
        for place in range(5):
            cosines = [torch.cosine_similarity(queries[picture, place], key, dim=0) for key in keys[picture]]
            shares = [math.exp(cosine / 0.07) for cosine in cosines]
            wanted.append(-math.log(shares[place] / sum(shares)))
    assert patch_nce(queries, keys).item() == pytest.approx(sum(wanted) / len(wanted))


def test_feature_matching_is_the_released_codes_form_too():
    """The positive apart, and its place among the negatives at -10."""
    queries, keys = (torch.nn.functional.normalize(values, dim=-1) for values in torch.randn(2, 2, 6, 8))
    positive = (queries * keys).sum(dim=-1, keepdim=True)
    negative = (queries @ keys.transpose(1, 2)).masked_fill(torch.eye(6, dtype=torch.bool), -10.0)
    logits = torch.cat([positive, negative], dim=-1).flatten(0, 1) / 0.07
    wanted = torch.nn.functional.cross_entropy(logits, torch.zeros(12, dtype=torch.int64))
    torch.testing.assert_close(patch_nce(queries, keys), wanted)


def test_patches_alike_cost_nothing_and_patches_of_chance_the_logarithm_of_their_number():
    keys = torch.eye(16)[None]
    assert patch_nce(keys, keys).item() < 1e-4
    assert patch_nce(torch.ones(1, 16, 16), keys).item() == pytest.approx(math.log(16))


def test_negatives_are_of_the_same_picture():
    queries, keys = torch.randn(2, 2, 6, 8)
    whole = patch_nce(queries, keys)
    apart = torch.stack([patch_nce(queries[:1], keys[:1]), patch_nce(queries[1:], keys[1:])]).mean()
    torch.testing.assert_close(whole, apart)


def test_keys_get_no_gradient_and_lengths_count_for_nothing():
    queries, keys = (values.requires_grad_() for values in torch.randn(2, 1, 4, 3).unbind())
    loss = patch_nce(queries, keys)
    loss.backward()
    assert keys.grad is None
    assert queries.grad.abs().max() > 0
    torch.testing.assert_close(patch_nce(3 * queries, 0.1 * keys), loss)


def test_patch_nce_is_summed_in_float32():
    queries, keys = torch.randn(2, 1, 4, 3).bfloat16().unbind()
    assert patch_nce(queries, keys).dtype == torch.float32
