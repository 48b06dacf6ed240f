import torch

from ganvas.methods.replay import Replay


def pictures(*values):
    """One constant picture for each value."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 2, 2).clone()


def shown(replay, *values):
    return [int(picture.mean()) for picture in replay(pictures(*values))]


def test_while_it_fills_it_shows_the_newest():
    replay = Replay(4, (3, 2, 2))
    assert shown(replay, 1, 2, 3) == [1, 2, 3]
    assert replay.count == 3
    assert shown(replay, 4) == [4]
    assert replay.count == 4
    assert torch.equal(replay.images, pictures(1, 2, 3, 4))


def test_a_full_one_changes_places_half_of_the_time():
    torch.manual_seed(0)
    replay, old = Replay(5, (3, 2, 2)), 0
    shown(replay, *range(5))
    for value in range(5, 1005):
        before = {int(image.mean()) for image in replay.images}
        (given,) = shown(replay, value)
        after = {int(image.mean()) for image in replay.images}
        assert after == (before if given == value else before - {given} | {value})
        old += given != value
    assert 440 < old < 560  # 3.8 standard deviations


def test_every_place_is_drawn():
    torch.manual_seed(0)
    replay = Replay(3, (3, 2, 2))
    shown(replay, *range(100))
    assert min(int(image.mean()) for image in replay.images) > 3


def test_a_batch_is_taken_picture_by_picture():
    whole, single = Replay(2, (3, 2, 2)), Replay(2, (3, 2, 2))
    torch.manual_seed(0)
    together = [shown(whole, 1, 2, 3), shown(whole, 4, 5, 6)]
    assert together[0][:2] == [1, 2]
    assert set(together[0] + together[1]) <= set(range(1, 7))
    assert sorted(int(image.mean()) for image in whole.images) != [0, 0]
    assert shown(single, 1) + shown(single, 2) == [1, 2]


def test_nothing_is_remembered_with_no_capacity():
    replay, made = Replay(0, (3, 2, 2)), pictures(1).requires_grad_()
    assert torch.equal(replay(made), made)
    assert not replay(made).requires_grad
    assert not replay.state_dict()


def test_what_it_shows_has_no_gradient_and_the_order_of_memory_of_what_came():
    replay = Replay(1, (3, 2, 2))
    made = torch.rand(2, 3, 2, 2, requires_grad=True).contiguous(memory_format=torch.channels_last)
    given = replay(made)
    assert not given.requires_grad
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert replay(made.bfloat16()).dtype == torch.float32


def test_a_reloaded_one_goes_on_as_the_first():
    first, second = Replay(3, (3, 2, 2)), Replay(3, (3, 2, 2))
    shown(first, *range(5))
    second.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    wanted = shown(first, *range(5, 20))
    torch.manual_seed(1)
    assert shown(second, *range(5, 20)) == wanted
