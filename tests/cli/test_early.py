"""Cheap mistakes are told before anything heavy is loaded."""

from __future__ import annotations

import sys

import pytest

from lsc_continual.cli.main import main

HEAVY = ("torch", "torchvision", "avalanche")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("run --epochs 3", "settings are written without dashes, train.epochs=3"),
        ("run --train.lr=0.1", "settings are written without dashes, train.lr=0.1"),
        ("run --batch-size 8 seed=1", "without dashes, train.batch_size=8"),
        ("compare --seed 1", "without dashes, seed=1"),
        ("run scenario=folder data.root=nope", "data.root=nope is not a folder"),
        ("run scenario=arrays data.root=nope.npz", "names no file"),
        ("run scenario=arrays data.root=.", "names 0 files"),
        ("run train.lr=0", "train.lr=0.0 is out of range: use above 0"),
        ("run train.epochs=two", "train.epochs=two has the wrong type: write a whole number"),
        ("resume nope", "there is no folder nope"),
        ("stream nope .", "there is no folder nope"),
        ("stream . . --score mas", "did you mean 'mass'?"),
        ("stream . . --fpr 1", "a false-alarm rate lies between 0 and 1, not at 1"),
        ("stream . - -", "standard input can be read once"),
        ("eval . nope", "there is no nope"),
        ("eval . . --fpr 0", "a false-alarm rate lies between 0 and 1, not at 0"),
    ],
)
def test_a_mistake_is_one_sentence_before_torch_is_loaded(
    command, message, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lsc-cl", *command.split()])
    for name in [name for name in sys.modules if name.split(".")[0] in HEAVY]:
        monkeypatch.delitem(sys.modules, name)
    for name in HEAVY:
        monkeypatch.setitem(sys.modules, name, None)  # its import fails
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_options_that_a_command_has_are_left_to_it(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lsc-cl", "show", "--explain", "train.lr"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert "Learning rate" in capsys.readouterr().out
