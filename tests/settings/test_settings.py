"""Settings: defaults, overrides, refusals."""

from __future__ import annotations

import pytest

from lsc_continual.errors import LSCError
from lsc_continual.runs.configuration import resolve


def test_groups_take_a_name_and_dotted_keys_reach_every_setting():
    config = resolve(["scenario=split-mnist", "system=v22", "train.epochs=7", "train.lr=0.5"])
    assert config.scenario.name == "split-mnist"
    assert config.data.mean == [0.1307]  # from the scenario's defaults
    assert (config.system.name, config.train.epochs, config.train.lr) == ("v22", 7, 0.5)
    assert resolve([]).scenario.name == "split-digits"


def test_an_increment_replaces_the_default_number_of_experiences():
    assert resolve(["scenario.increment=2"]).scenario.experiences is None
    with pytest.raises(LSCError, match=r"set one of scenario\.experiences and scenario\.increment"):
        resolve(["scenario.increment=2", "scenario.experiences=3"])


def test_options_of_an_encoder_do_not_reach_another():
    assert resolve([]).encoder.options == {"width": 16}
    assert resolve(["encoder=mlp"]).encoder.options == {}
    assert resolve(["encoder=mlp", "encoder.options.depth=3"]).encoder.options == {"depth": 3}
    assert resolve(["encoder.options={width: 8}"]).encoder.options == {"width": 8}


def test_lists_and_nothing_can_be_given():
    assert resolve(["scenario.class_order=[1,0]"]).scenario.class_order == ["1", "0"]
    assert resolve(["data.mean=null", "data.std=null"]).data.mean is None
    assert resolve(["data.classes=[cat,7]"]).data.classes == ["cat", "7"]
    assert resolve([]).data.classes is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("scenrio=split-mnist", r"unknown setting 'scenrio': did you mean 'scenario'\?"),
        ("train.epoch=3", r"did you mean 'train.epochs'\?"),
        ("scenario=split-digit", r"unknown scenario 'split-digit': did you mean 'split-digits'\?"),
        ("strategy=lcs", r"unknown strategy 'lcs': did you mean 'lsc'\?"),
        ("allocation=afine", r"did you mean 'affine'\?"),
        ("loss=cosin", r"did you mean 'cosine'\?"),
        ("train.epochs=many", "train.epochs=many has the wrong type: write a whole number"),
        ("seed=", "seed needs a value"),
        ("train.epochs=0", "out of range: use 1 or more"),
        ("train.lr=-1", "out of range"),
        ("train.lr=nan", "out of range"),
        ("loss.unknown_prior=2", "from 0 to 1"),
        ("augment.crop_scale=0", "out of range: use from 0.01 to 1"),
        ("train.optimizer=adm", "is not one of adamw, sgd"),
        ("train=3", "is a group of settings: set one of train.epochs, train.batch_size"),
        ("seed", "write KEY=VALUE"),
        ("=3", "write KEY=VALUE"),
        ("data.mean=[", "the value of data.mean cannot be read"),
        ("train.lr=0", "out of range: use above 0"),
        ("data.classes=cat", r"write a list of texts, data.classes=\[cat\]"),
        ("data.mean=[0.5]", "data.mean and data.std go together"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(setting, message):
    settings = [setting] if not setting.startswith("data.mean") else [setting, "data.std=null"]
    with pytest.raises(LSCError, match=message):
        resolve(settings)
