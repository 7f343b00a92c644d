"""What gain, depth attenuation, shadow and speckle have in common."""

from __future__ import annotations

import pytest
import torch

from medt_pipeline.training.augmentation.brightness import scale_brightness


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("z_scored", [False, True])
def test_black_is_kept_and_equal_channels_stay_equal(ultrasound_transform, sector, channels, z_scored) -> None:
    image = sector(channels, z_scored)
    torch.manual_seed(2)
    for _ in range(20):
        changed = ultrasound_transform(image=image.clone())["image"]
        assert changed.shape == image.shape
        assert changed.dtype == torch.float32
        assert torch.equal(changed[..., :8], image[..., :8])
        assert torch.equal(changed[..., 44:], image[..., 44:])
        assert torch.isfinite(changed).all()
        assert torch.equal(changed, changed[:1].expand_as(changed))
        assert not torch.equal(changed, image)
        assert (changed >= image.min()).all()


def test_z_scoring_makes_no_difference_to_what_is_done(ultrasound_transform, sector) -> None:
    plain, scored = sector(), sector(z_scored=True)
    deviation = sector().std()
    parameters = ultrasound_transform.get_parameters(image=plain)
    one = ultrasound_transform.apply({"image": plain.clone()}, **parameters)["image"]
    other = ultrasound_transform.apply({"image": scored.clone()}, **parameters)["image"]
    assert torch.allclose((one - plain) / deviation, other - scored, atol=1e-4)


def test_the_seed_decides(ultrasound_transform, sector) -> None:
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(ultrasound_transform(image=sector())["image"])
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_padding_of_a_z_scored_image_is_kept(ultrasound_transform, sector) -> None:
    image = sector(z_scored=True)
    image[:, :6] = 0
    assert torch.equal(ultrasound_transform(image=image.clone())["image"][:, :6], image[:, :6])


@pytest.mark.parametrize("value", [0.0, -1.5])
def test_an_image_of_one_value_stays_as_it_is(ultrasound_transform, value) -> None:
    image = torch.full((1, 9, 11), value)
    assert torch.equal(ultrasound_transform(image=image.clone())["image"], image)


def test_brightness_is_that_above_the_minimum_of_each_channel() -> None:
    image = torch.tensor([[[-1.0, 0.0, 1.0]], [[2.0, 3.0, 4.0]]])
    assert scale_brightness(image, 2.0).tolist() == [[[-1.0, 0.0, 3.0]], [[2.0, 4.0, 6.0]]]
