from __future__ import annotations

import torch

from medt_pipeline.training.augmentation.shadow import ShadowTransform, cast_shadow


def white() -> torch.Tensor:
    image = torch.ones(1, 100, 201)
    image[..., 0] = 0
    return image


def test_shadows_only_darken(sector) -> None:
    torch.manual_seed(0)
    for z_scored in (False, True):
        image = sector(3, z_scored)
        for _ in range(50):
            assert (ShadowTransform(1.0)(image=image.clone())["image"] <= image + 1e-6).all()


def test_the_middle_loses_the_darkness_from_its_top_on() -> None:
    shadowed = cast_shadow(white(), top=0.4, centre=0.5, half_width=0.1, widening=0.0, tilt=0.0, darkness=0.6)[0]
    assert torch.allclose(shadowed[60:, 100], torch.tensor(0.4), atol=1e-5)
    assert torch.equal(shadowed[:30], white()[0, :30])
    assert torch.allclose(shadowed[60:, 1:50], torch.tensor(1.0), atol=1e-5)
    assert torch.allclose(shadowed[99, 120], 1 - 0.6 * torch.exp(torch.tensor(-1.0)), atol=1e-4)


def test_it_widens_and_tilts_downwards_and_may_start_at_the_first_row() -> None:
    shadowed = cast_shadow(white(), top=0.0, centre=0.4, half_width=0.05, widening=0.1, tilt=0.2, darkness=0.5)[0]
    dark = shadowed < 0.9
    assert dark[0, 80]
    assert dark[-1].sum() > 2 * dark[0].sum()
    assert shadowed[-1].argmin() == 0  # the black column
    assert shadowed[-1, 120] == shadowed[-1, 1:].min()


def test_no_darkness_changes_nothing() -> None:
    image = torch.rand(1, 20, 30)
    assert torch.allclose(cast_shadow(image, 0.2, 0.5, 0.1, 0.1, 0.1, 0.0), image)
