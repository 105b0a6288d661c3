"""`lsc-cl doctor`: what it says of sound and of broken machines."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from lsc_continual.cli.main import app
from lsc_continual.doctor import devices, folders, packages, processes
from lsc_continual.doctor.data import find_data
from lsc_continual.doctor.finding import guarded
from lsc_continual.errors import LSCError
from lsc_continual.inputs import Source
from lsc_continual.scenarios import load_images
from lsc_continual.scenarios.names import SCENARIOS


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", *processes._TORCHRUN):
        monkeypatch.delenv(name, raising=False)


def checks(*arguments: str, code: int = 0) -> dict[str, SimpleNamespace]:
    result = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    assert result.exit_code == code, result.output
    report = json.loads(result.output)
    assert report["works"] is (code == 0)
    return {check["name"]: SimpleNamespace(**check) for check in report["checks"]}


def test_here_runs_can_work_and_nothing_is_left_behind(tmp_path):
    found = checks()
    declared = [Requirement(r) for r in requires("lsc_continual") if "extra ==" not in r]
    for requirement in declared:
        assert found[requirement.name].found == version(requirement.name)
        assert found[requirement.name].state == "ok"
    assert str(len(os.sched_getaffinity(0))) in found["cpu"].found
    assert list(tmp_path.iterdir()) == []


def test_terminal_and_json_say_the_same():
    found = checks()
    result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for check in found.values():
        assert re.search(rf"^ {check.state} +{check.name} ", result.output, re.MULTILINE)
        if "free" not in check.found:  # which changes meanwhile
            assert check.found in result.output
        assert check.cure in result.output
    assert result.output.endswith("runs can work here\n")
    assert "\x1b" not in result.output


def test_help_has_examples_that_work():
    output = CliRunner().invoke(app, ["doctor", "--help"]).output
    assert "lsc-cl doctor --root /datasets" in output
    assert checks("--root", "/datasets")["split-mnist"].state == "missing"


FILES = {name: scenario.files for name, scenario in SCENARIOS.items()}


@pytest.mark.parametrize("name", [n for n in SCENARIOS if FILES[n] and FILES[n].needs])
def test_data_are_found_where_the_loader_looks_for_them(name, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    look = {finding.name: finding for finding in find_data(root)}
    assert look[name].state == "missing"
    assert FILES[name].get in look[name].cure
    with pytest.raises(LSCError):
        load_images(name, Source(root=root, download=False))
    for place in FILES[name].places:
        lay(root / place, FILES[name].needs[1:])
        look = {finding.name: finding for finding in find_data(root)}
        if len(FILES[name].needs) > 1:
            assert (look[name].state, "incomplete in" in look[name].found) == ("missing", True)
        lay(root / place, FILES[name].needs)
        look = {finding.name: finding for finding in find_data(root)}
        assert (look[name].state, look[name].found) == ("ok", f"in {root / place}")
        shutil.rmtree(root)
        root.mkdir()


def lay(folder: Path, needs: tuple[str, ...]) -> None:
    for need in needs:
        (folder / need.replace("*", "").replace("?", "0")).mkdir(parents=True, exist_ok=True)


def test_mnist_is_found_under_the_names_torchvision_gives_its_files(tmp_path):
    from torchvision.datasets import MNIST

    for url, _ in MNIST.resources:
        path = tmp_path / "MNIST" / "raw" / Path(url).stem
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = checks("--root", str(tmp_path))
    assert (found["split-mnist"].state, found["split-fashion-mnist"].state) == ("ok", "missing")


def test_a_missing_dependency_is_broken_with_its_cure(monkeypatch):
    def without_numpy(name: str) -> str:
        if name == "numpy":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(packages, "version", without_numpy)
    found = checks(code=2)
    assert (found["numpy"].state, found["numpy"].found) == ("broken", "not installed")
    assert found["numpy"].cure.startswith("pip install 'numpy")
    assert "runs cannot work yet: one thing is broken" in CliRunner().invoke(app, "doctor").output


def test_wrong_versions_are_broken_also_where_another_dependency_is_to_blame(monkeypatch):
    asks = {
        "lsc_continual": ["numpy>=999", "torch", "torchvision", 'rich; extra == "x"'],
        "torchvision": ["torch ==1.0", "not a requirement !"],
        "numpy": [],
        "torch": [],
    }
    monkeypatch.setattr(packages, "requires", asks.__getitem__)
    found = {f.name: f for f in packages.check_versions()}
    assert found["numpy"].found == f"{version('numpy')}, but lsc_continual needs >=999"
    assert found["numpy"].cure == "pip install 'numpy>=999'"
    assert found["torch"].found == f"{version('torch')}, but torchvision needs ==1.0"
    assert [f.state for f in found.values()] == ["ok", "ok", "broken", "broken", "ok"]


def test_missing_extras_are_not_broken(monkeypatch):
    asks = ["numpy", 'no-such-thing-1>=2; extra == "test"', 'lsc_continual[test]; extra == "dev"']
    monkeypatch.setattr(packages, "requires", lambda _: asks)
    found = {f.name: f for f in packages.check_extras()}
    assert (found["test"].state, found["test"].found) == ("missing", "without no-such-thing-1")
    assert "pip install '.[test]'" in found["test"].cure
    assert found["dev"].state == "ok"


@pytest.mark.parametrize("library", ["torch", "packaging"])
def test_a_library_that_cannot_be_loaded_is_no_traceback(library):
    code = (
        f"import sys; sys.modules[{library!r}] = None; sys.argv = ['lsc-cl', 'doctor']\n"
        "from lsc_continual.cli.main import main; main()"
    )
    command, here = [sys.executable, "-c", code], Path(__file__).parents[2]
    result = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (2, "")
    assert any(line.split()[:2] == ["broken", library] for line in result.stdout.splitlines())


def test_a_look_that_fails_is_a_note():
    (finding,) = guarded("devices", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert finding.state == "note"
    assert "ZeroDivisionError: division by zero" in finding.found


def gpus(**cuda) -> SimpleNamespace:
    about = {
        0: SimpleNamespace(name="A100", total_memory=80 * 2**30, major=8),
        1: SimpleNamespace(name="V100", total_memory=16 * 2**30, major=7),
    }
    usual = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": about.__getitem__,
    }
    return SimpleNamespace(
        version=SimpleNamespace(cuda="13.2", hip=None), cuda=SimpleNamespace(**usual | cuda)
    )


def test_each_gpu_with_its_memory_and_bf16(monkeypatch):
    monkeypatch.setattr(devices, "driver_version", lambda: "580.65.06")
    found = {f.name: f for f in devices.look_at_gpus(gpus())}
    assert found["driver"].found == "580.65.06, torch is built for CUDA 13.2"
    assert found["cuda:0"].found == "A100, 80.0 GiB, bf16"
    assert found["cuda:1"].found == "V100, 16.0 GiB, no bf16"
    assert "train.precision=fp16" in found["cuda:1"].cure


def test_why_there_is_no_gpu(monkeypatch):
    def refuse() -> None:
        raise RuntimeError("The NVIDIA driver is too old (found version 11040). Please update.")

    torch = gpus(is_available=lambda: False, init=refuse)
    monkeypatch.setattr(devices, "driver_version", lambda: "470.57.02")
    (finding,) = devices.look_at_gpus(torch)
    assert finding.state == "note"
    assert finding.found.endswith(": The NVIDIA driver is too old (found version 11040)")
    assert "470.57.02" in finding.cure
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (finding,) = devices.look_at_gpus(torch)
    assert "unset it" in finding.cure
    torch.version.cuda = None
    (finding,) = devices.look_at_gpus(torch)
    assert finding.found == "none: torch is built for the CPU only"


def test_the_driver_is_read_from_the_kernel(tmp_path, monkeypatch):
    file = tmp_path / "version"
    monkeypatch.setattr(devices, "_DRIVER", file)
    assert devices.driver_version() is None
    line = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC\n"
    file.write_text(line)
    assert devices.driver_version() == "535.129.03"


def test_a_file_in_the_place_of_runs_is_broken(tmp_path):
    (tmp_path / "runs").touch()
    found = checks(code=2)
    assert found["runs"].state == "broken"
    assert found["runs"].found == f"{tmp_path / 'runs'} is a file, not a folder"


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(folders.tempfile, "TemporaryFile", refuse)
    found = checks(code=2)
    assert found["runs"].found == "runs (will be made) is not writable (Read-only file system)"
    assert (found["runs"].state, found["data root"].state) == ("broken", "note")
    assert "run.dir=" in found["runs"].cure


def test_little_room_is_a_note(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 63 * 2**20))
    found = checks()
    for name in ("runs", "data root", "/dev/shm"):
        assert found[name].state == "note"
        assert "63.0 MiB free" in found[name].found
        assert found[name].cure


def test_environment_variables_that_slow_runs_down_or_stop_them(monkeypatch):
    assert checks()["torchrun"].found.startswith("not in use: one process")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setenv("WORLD_SIZE", "4")
    found = checks(code=2)
    assert (found["OMP_WAIT_POLICY"].state, found["OMP_NUM_THREADS"].state) == ("note", "note")
    assert found["torchrun"].state == "broken"
    lacking = "RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"
    assert found["torchrun"].found == f"process ? of 4, but {lacking} not set"
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    monkeypatch.setenv("MASTER_PORT", "29500")
    assert checks()["torchrun"].found == "process 0 of 4"


def test_of_several_processes_one_speaks(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    result = CliRunner().invoke(app, ["doctor"])
    assert (result.exit_code, result.output) == (0, "")
