"""Names of every kind: those of the package, and those of the user's own."""

from __future__ import annotations

import sys
from inspect import signature

import pytest
from rich.console import Console

from lsc_continual.encoders.names import ENCODERS
from lsc_continual.errors import LSCError, MistakesError
from lsc_continual.registry import TABLES
from lsc_continual.runs.configuration import resolve
from lsc_continual.runs.run import run

SETTINGS = {
    "system": "system",
    "allocation": "allocation",
    "encoder": "encoder",
    "loss": "loss",
    "loss.collapse": "collapse penalty",
    "novelty.score": "novelty score",
    "scenario": "scenario",
    "strategy": "strategy",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_every_kind_has_its_setting():
    assert set(SETTINGS.values()) == set(TABLES) - {"learner"}  # which `learn` alone has


@pytest.mark.parametrize(("key", "kind"), SETTINGS.items())
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", "unknown {kind} 'nonsense': "),
        ("nomodule:thing", "{kind} 'nomodule:thing': there is no module 'nomodule'"),
        ("stranger:nothing", "{kind} 'stranger:nothing': 'stranger' has nothing named 'nothing'"),
        ("stranger.deeper:thing", "there is no module 'stranger.deeper'"),
        ("stranger:", "is not of the form module:attribute"),
        ("broken:thing", "broken.py is no Python"),
    ],
)
def test_a_name_that_is_not_there_is_refused(key, kind, name, message, here):
    (here / "stranger.py").write_text("raise SystemExit\nthing = 3\n", encoding="utf-8")
    (here / "broken.py").write_text("def:\n", encoding="utf-8")
    with pytest.raises(LSCError) as caught:
        resolve([f"{key}={name}"])
    assert message.format(kind=kind) in str(caught.value)
    assert "stranger" not in sys.modules


@pytest.mark.parametrize("kind", ["encoder", "loss", "allocation", "scenario"])
def test_names_of_ones_own_are_checked_without_importing_them(kind, here):
    (here / "stranger.py").write_text(
        "raise SystemExit\nfrom os import sep as other\nclass Thing: ...\n"
    )
    for attribute in ("Thing", "other"):
        assert (
            getattr(resolve([f"{kind}=stranger:{attribute}"]), kind).name == f"stranger:{attribute}"
        )
    assert "stranger" not in sys.modules


def test_all_mistakes_are_said_at_once():
    with pytest.raises(MistakesError) as caught:
        resolve(["system=v2", "train.epochs=0", "trian.lr=1", "encoder=mpl", "data.std=null"])
    assert [sentence.split(":")[0] for sentence in caught.value.sentences] == [
        "unknown setting 'trian.lr'",
        "unknown system 'v2'",
        "unknown encoder 'mpl'",
        "train.epochs=0 is out of range",
        "data.mean and data.std go together",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["system=v22", "system.dim=3"], "'v22' needs at least 4 dimensions"),
        (["system=permutohedron"], "use dim=20 or less"),
        (["system=hypercube"], "use dim=62 or less"),
        (["system=dyadic7"], "have levels 0 to 3, not 7"),
        (["system=v{m}{k}"], "stands for a family"),
        (["encoder=resnet51"], "did you mean 'resnet50'"),
        (["strategy=der", "system=v22"], "means nothing to der"),
        (["analytic.features=10"], "is for lsc-analytic and means nothing to lsc"),
        (["strategy=der", "strategy.options.alhpa=1"], "did you mean 'alpha'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_heavy_is_loaded(settings, message):
    with pytest.raises(LSCError) as caught:
        resolve(settings)
    assert message in str(caught.value)


OWN = """
from torch import nn
class Nothing: ...
class NeedsMore(nn.Module):
    def __init__(self, more): ...
def fails(*arguments): raise RuntimeError("no such luck")
number = 3
"""


@pytest.mark.parametrize("attribute", ["Nothing", "NeedsMore", "fails", "number"])
@pytest.mark.parametrize(("key", "kind"), SETTINGS.items())
def test_what_is_of_no_use_is_refused_in_a_sentence(key, kind, attribute, here):
    (here / "useless.py").write_text(OWN, encoding="utf-8")
    with pytest.raises(LSCError) as caught:
        run(resolve(["encoder=mlp", "run.dir=run", f"{key}=useless:{attribute}"]), Console())
    assert str(caught.value).startswith(f"{kind} 'useless:{attribute}' ")
    assert not (here / "run").exists()


def test_options_of_encoders_are_checked_before_anything_is_loaded():
    with pytest.raises(MistakesError) as caught:
        resolve(["encoder=mlp", "encoder.options.widht=3", "scenario=python"])
    assert caught.value.sentences == (
        "scenario=python and benchmark=module:function, which returns a benchmark, go together: "
        "set both or neither",
        "unknown option of encoder=mlp 'widht': did you mean 'width'?",
    )
    with pytest.raises(LSCError, match=r"width=wide has the wrong type: it is 32 by default"):
        resolve(["encoder=resnet-small", "encoder.options.width=wide"])


@pytest.mark.parametrize("name", ["mlp", "resnet-small", "resnet18-cifar"])
def test_the_options_of_an_encoder_are_those_of_its_code(name):
    parameters = signature(ENCODERS.load(name)).parameters.values()
    assert ENCODERS[name].options == {
        p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY
    }
