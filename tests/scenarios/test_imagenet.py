"""ImageNet in the layouts in which people have it."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from lsc_continual.errors import LSCError
from lsc_continual.inputs import Source
from lsc_continual.scenarios import load_images
from lsc_continual.scenarios.imagenet import usual_subset
from tests.scenarios.layouts import WNIDS, devkit, imagenet


def load(root: Path, name: str = "split-imagenet", **options):
    return load_images(name, Source(root, **{"resolution": 16, **options}))


def in_class_folders(root: Path) -> None:
    imagenet(root, flat=False)


def flat_with_devkit(root: Path) -> None:
    imagenet(root, flat=True)
    devkit(root)


def flat_with_packed_devkit(root: Path) -> None:
    imagenet(root / "imagenet", flat=True)
    kit = devkit(root)
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(kit, kit.name)
    shutil.rmtree(kit)


def from_kaggle(root: Path) -> None:
    imagenet(root / "ILSVRC/Data/CLS-LOC", flat=True)
    lines = ["ImageId,PredictionString"]
    for number, wnid in enumerate(reversed(WNIDS), 1):
        lines.append(f"ILSVRC2012_val_{number:08},{wnid} 85 1 499 272 {wnid} 1 2 3 4 ")
    (root / "LOC_val_solution.csv").write_text("\n".join(lines) + "\n")


LAYOUTS = [in_class_folders, flat_with_devkit, flat_with_packed_devkit, from_kaggle]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_give_the_same_images(tmp_path, layout):
    layout(tmp_path)
    data = load(tmp_path)
    assert data.class_names == WNIDS
    assert (data.train.targets, data.test.targets) == ([0, 1, 2], [0, 1, 2])
    assert data.input_shape == (3, 16, 16)
    # Class i's validation image shows the same piece of a photograph, cut to another shape.
    in_class_folders(tmp_path / "expected")
    expected = load(tmp_path / "expected")
    assert torch.equal(data.test.images, expected.test.images)
    assert torch.equal(data.train.images, expected.train.images)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_classes_can_be_chosen_by_wordnet_id(tmp_path, layout):
    layout(tmp_path)
    data = load(tmp_path, classes=(WNIDS[2], WNIDS[0]))
    assert data.class_names == [WNIDS[2], WNIDS[0]]
    assert torch.equal(data.test.images, load(tmp_path).test.images[[2, 0]])
    with pytest.raises(LSCError, match="unknown class 'n01440765': did you mean 'n01440764'"):
        load(tmp_path, classes=("n01440765",))


def test_imagenet100_is_the_usual_hundred():
    wnids = [f"n{i:08}" for i in range(1000)]
    state = np.random.get_state()
    chosen = usual_subset(wnids)
    assert np.array_equal(np.random.get_state()[1], state[1])  # nothing global is seeded
    # As published with iCaRL and PODNet for seed 1993.
    assert [int(w[1:]) for w in chosen[:10]] == [54, 7, 894, 512, 126, 337, 988, 11, 284, 493]
    assert len(set(chosen)) == 100
    assert usual_subset(wnids[:100]) == wnids[:100]
    with pytest.raises(LSCError, match=r"train/ holds 99: .* data\.classes="):
        usual_subset(wnids[:99])


def test_imagenet100_takes_named_classes_and_loads_no_others(tmp_path):
    imagenet(tmp_path, flat=False)
    data = load(tmp_path, "split-imagenet100", classes=tuple(WNIDS[:2]))
    assert data.class_names == WNIDS[:2]
    with pytest.raises(LSCError, match="chosen from 1,000"):
        load(tmp_path, "split-imagenet100")
    wnids = [f"n{i:08}" for i in range(1000)]
    for wnid in wnids:
        (tmp_path / "whole" / "train" / wnid).mkdir(parents=True)
    chosen = usual_subset(wnids)
    imagenet(tmp_path / "whole", flat=False, wnids=chosen)
    assert load(tmp_path / "whole", "split-imagenet100", resolution=4).class_names == chosen


def test_what_is_missing_is_named_with_the_way_out(tmp_path):
    def refused(match: str) -> None:
        with pytest.raises(LSCError, match=match):
            load(tmp_path)

    refused("ImageNet is not in .* get ILSVRC2012 from https://image-net")
    (tmp_path / "train").mkdir()
    refused("train has no class folders such as n01440764")
    (tmp_path / "train" / "n01440764.tar").touch()
    refused(r'train still holds archives: .* tar -xf "\$f"')
    imagenet(tmp_path, flat=True)
    refused(r"not in class folders: put ILSVRC2012_devkit_t12\.tar\.gz")
    kit = devkit(tmp_path)
    (kit / "data" / "meta.mat").write_bytes(b"x" * 500)
    refused(r"ILSVRC2012_devkit_t12 is damaged \(.*\): download it again")
    shutil.rmtree(kit)
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").touch()
    refused(r"ILSVRC2012_devkit_t12\.tar\.gz is damaged")
    shutil.rmtree(tmp_path / "val")
    refused(r"val holds no images: unpack ILSVRC2012_img_val\.tar")
