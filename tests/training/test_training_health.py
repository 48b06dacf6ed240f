"""Warnings in plain words, each said once."""

from __future__ import annotations

from ganvas.training.health import PATIENCE, VALIDATIONS, Health


def said(health: Health, fake: float, rows: int) -> list[str]:
    losses = {"discriminator/fake": fake, "discriminator/real": 0.001, "generator/l1": 0.0}
    return [text for _ in range(rows) for text in health.losses(losses)]


def test_a_discriminator_that_has_won_is_told_once() -> None:
    warnings = said(Health(), 0.01, 3 * PATIENCE)
    assert len(warnings) == 1
    assert "The discriminator has been telling real from made pictures almost without error" in warnings[0]


def test_a_short_win_a_draw_and_a_wasserstein_critic_are_nothing_to_tell() -> None:
    health = Health()
    assert said(health, 0.01, PATIENCE - 1) + said(health, 0.5, 1) + said(health, 0.01, PATIENCE - 1) == []
    assert said(Health(), -4.0, 3 * PATIENCE) == []


def test_outputs_all_alike_are_told_when_it_stays() -> None:
    health = Health()
    warnings = [health.validation({"psnr": 9.0, "spread": 0.01}) for _ in range(VALIDATIONS + 3)]
    assert [len(text) for text in warnings] == [0] * (VALIDATIONS - 1) + [1, 0, 0, 0]
    assert all(Health().validation({"psnr": 9.0, "spread": spread}) == [] for spread in (0.5, 1.0, 2.0))
    assert Health().validation({"psnr": 9.0}) == []
