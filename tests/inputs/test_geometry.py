"""Random affine maps of whole batches, held against torch and torchvision."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from lsc_continual.inputs.geometry import RandomGeometry

_ANGLE, _ZOOM, _RIGHT, _DOWN, _AREA, _RATIO, _LEFT, _TOP, _FLIP = range(9)


def pictures(count: int = 6, height: int = 12, width: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def draws(count: int = 1, **values: float) -> torch.Tensor:
    """Draws in the middle of their ranges, where nothing changes, but for those given."""
    table = torch.full((count, 9), 0.5)
    for name, value in values.items():
        table[:, globals()[f"_{name.upper()}"]] = value
    return table


def warp(geometry: RandomGeometry, table: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    maps = geometry.maps(table.expand(len(images), -1), images.shape[-1] / images.shape[-2])
    return F.grid_sample(
        images, F.affine_grid(maps, list(images.shape), align_corners=False), align_corners=False
    )


def test_nothing_changes_when_nothing_is_asked_for():
    geometry = RandomGeometry()
    assert not geometry
    images = pictures()
    assert torch.allclose(geometry(images, seed=3), images, atol=1e-5)
    for change in ("rotate", "translate", "zoom", "crop_scale"):
        assert RandomGeometry(**{change: 0.5})
    assert RandomGeometry(flip=True)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (9, 14)])
def test_a_flip_turns_about_half_of_the_images_and_leaves_the_others(height, width):
    images = pictures(200, height, width)
    changed = RandomGeometry(flip=True)(images, seed=3)
    same = (changed - images).abs().amax((1, 2, 3)) < 1e-4
    turned = (changed - images.flip(-1)).abs().amax((1, 2, 3)) < 1e-4
    assert torch.equal(same, ~turned)
    assert 70 < int(turned.sum()) < 130


@pytest.mark.parametrize(("draw", "turns"), [(0.0, -1), (0.5, 0), (1.0, 1)])
def test_quarter_turns(draw, turns):
    images = pictures()
    turned = warp(RandomGeometry(rotate=90), draws(angle=draw), images)
    expected = (torch.rot90(images, sign * turns, (-2, -1)) for sign in (1, -1))
    assert min((turned - candidate).abs().max() for candidate in expected) < 1e-4


def test_the_two_quarter_turns_are_different():
    images = pictures()
    one, other = (warp(RandomGeometry(rotate=90), draws(angle=draw), images) for draw in (0.0, 1.0))
    assert torch.allclose(torch.rot90(one, 2, (-2, -1)), other, atol=1e-4)
    assert (one - other).abs().max() > 0.1


@pytest.mark.parametrize(("height", "width"), [(12, 12), (8, 16)])
def test_a_shift_moves_by_whole_pixels_and_leaves_black_behind(height, width):
    images = pictures(2, height, width)
    geometry = RandomGeometry(translate=0.25)  # of the side: 3 of 12 pixels
    moved = warp(geometry, draws(right=1.0, down=0.0), images)
    x, y = width // 4, height // 4
    expected = torch.zeros_like(images)
    expected[..., y:, : width - x] = images[..., : height - y, x:]
    assert torch.allclose(moved, expected, atol=1e-4)


def test_a_crop_is_the_part_of_the_image_scaled_up():
    """A quarter of the area with the sides of the whole: every corner, against interpolation."""
    images = pictures(2, 16, 16)
    geometry = RandomGeometry(crop_scale=0.25)
    for left, top in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)):
        cut = warp(geometry, draws(area=0.0, left=left, top=top), images)
        x, y = int(8 * left), int(8 * top)
        expected = F.interpolate(
            images[..., y : y + 8, x : x + 8], (16, 16), mode="bilinear", align_corners=False
        )
        inner = (..., slice(1, -1), slice(1, -1))  # at the rim a crop sees its neighbours
        assert torch.allclose(cut[inner], expected[inner], atol=1e-4), (left, top)


@pytest.mark.parametrize("aspect", [1.0, 1.5, 0.5])
@pytest.mark.parametrize("least", [0.08, 0.5, 1.0])
def test_crops_lie_within_the_image_and_have_the_area_asked_for(least, aspect):
    table = torch.rand(20_000, 9, generator=torch.Generator().manual_seed(0))
    maps = RandomGeometry(crop_scale=least, flip=True).maps(table, aspect)
    width, height = maps[:, 0, 0].abs(), maps[:, 1, 1]
    for side, centre in ((width, maps[:, 0, 2]), (height, maps[:, 1, 2])):
        assert (side <= 1 + 1e-6).all()
        assert (centre.abs() + side <= 1 + 1e-5).all()
    area, ratio = width * height, aspect * width / height
    assert (area <= 1 + 1e-5).all()
    whole = (width < 1 - 1e-6) & (height < 1 - 1e-6)  # nothing was cut off
    assert (area[whole] >= least - 1e-5).all()
    assert (ratio[whole] >= 0.75 - 1e-4).all()
    assert (ratio[whole] <= 4 / 3 + 1e-4).all()
    if least < 0.5:
        assert whole.float().mean() > 0.4
        assert area[whole].min() < least + 0.01
        assert ratio[whole].min() < 0.76
        assert ratio[whole].max() > 1.32


def test_zoom_and_angle_keep_to_their_bounds():
    table = torch.rand(20_000, 9, generator=torch.Generator().manual_seed(0))
    maps = RandomGeometry(rotate=30, zoom=0.2, translate=0.1).maps(table)
    scale = 1 / torch.linalg.det(maps[..., :2]).sqrt()
    angle = torch.rad2deg(torch.atan2(maps[:, 1, 0], maps[:, 0, 0]))
    for values, low, high in ((scale, 0.8, 1.2), (angle, -30, 30), (maps[..., 2], -0.2, 0.2)):
        span = high - low
        assert low - 1e-4 <= values.min() < low + 0.01 * span
        assert high - 0.01 * span < values.max() <= high + 1e-4


@pytest.mark.parametrize(("height", "width"), [(24, 24), (20, 30)])
@pytest.mark.parametrize(("angle", "zoom"), [(20.0, 1.0), (-35.0, 1.0), (0.0, 1.25), (15.0, 0.8)])
def test_rotation_and_zoom_are_those_of_torchvision(angle, zoom, height, width):
    images = F.avg_pool2d(pictures(3, height + 4, width + 4), 5, 1)
    geometry = RandomGeometry(rotate=45, zoom=0.5)
    table = draws(angle=(angle / 45 + 1) / 2, zoom=((zoom - 1) / 0.5 + 1) / 2)
    ours = warp(geometry, table, images)
    options = {"translate": [0, 0], "shear": [0.0, 0.0], "fill": 0.0}
    inner = (..., slice(6, -6), slice(6, -6))
    differences = [
        float(
            (
                ours
                - TF.affine(
                    images,
                    sign * angle,
                    scale=zoom,
                    **options,
                    interpolation=InterpolationMode.BILINEAR,
                )
            )[inner]
            .abs()
            .max()
        )
        for sign in (1, -1)
    ]
    assert min(differences) < 2e-3


def test_images_change_alike_however_a_batch_is_cut_into_parts():
    geometry = RandomGeometry(rotate=20, translate=0.1, zoom=0.2, flip=True, crop_scale=0.5)
    images = pictures(11)
    whole = geometry(images, seed=9)
    for cut in (1, 4, 10):
        parts = [
            geometry(images[:cut], 9, 0, len(images)),
            geometry(images[cut:], 9, cut, len(images)),
        ]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-6)
    assert torch.equal(geometry(images, seed=9), whole)
    assert (geometry(images, seed=10) - whole).abs().max() > 0.1


def test_each_image_changes_in_its_own_way():
    changed = RandomGeometry(rotate=90)(pictures(1).expand(20, -1, -1, -1), seed=0)
    distances = torch.cdist(changed.flatten(1), changed.flatten(1))
    assert distances[~torch.eye(20, dtype=torch.bool)].min() > 0.01


def test_draws_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    RandomGeometry(rotate=math.pi)(pictures(), seed=0)
    assert torch.equal(torch.get_rng_state(), state)
