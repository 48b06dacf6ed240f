import torch

from ganvas.losses import feature_matching, mse_loss


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


def test_it_is_summed_in_float32():
    features = [torch.randn(2, 3, 2, 2).bfloat16()]
    assert feature_matching(features, features).dtype == torch.float32
    assert mse_loss(*features, *features).dtype == torch.float32
