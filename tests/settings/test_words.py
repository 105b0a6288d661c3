"""Settings in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lsc_continual.errors import LSCError
from lsc_continual.runs.configuration import resolve
from lsc_continual.settings import Settings, settings_of
from lsc_continual.settings.words import explain, page, to_yaml

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_in_the_documentation_is_the_one_that_show_prints():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: lsc-cl show --page > docs/settings.md"


def test_every_setting_says_what_it_means_in_whole_sentences():
    for setting in settings_of(Settings):
        assert len(setting.about.help.split()) >= 2, setting.key
        assert setting.about.help[-1] in ".…)", setting.key


def test_yaml_with_comments_is_the_same_settings():
    settings = resolve(["scenario=split-mnist", "data.classes=[001,yes,null]", "train.lr=1e-6"])
    assert yaml.safe_load(to_yaml(settings)) == yaml.safe_load(to_yaml(settings, comments=False))
    assert yaml.safe_load(to_yaml(settings))["data"]["classes"] == ["001", "yes", "null"]
    assert yaml.safe_load(to_yaml(settings))["train"]["lr"] == 1e-6


def test_a_setting_is_explained_with_all_that_is_known_about_it():
    text = explain("train.lr")
    assert text.startswith("train.lr\n")
    for fact in ("Learning rate", "type: number", "values: above 0", "default: 0.001"):
        assert fact in text
    assert "v21, v22" in explain("system")
    assert "module:attribute" in explain("system")
    assert "strategies that have distillation" in explain("replay.balanced")
    assert "may change" in explain("train.workers")
    assert explain("checkpoint").count("checkpoint.") >= 2
    with pytest.raises(LSCError, match=r"did you mean 'train\.epochs'"):
        explain("train.epoch")
