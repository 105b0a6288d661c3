"""`lsc-cl stream` from end to end."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsc_continual.cli.main import main
from tests.processes import Process


@pytest.fixture
def lsc_cl(monkeypatch, capfdbinary, tmp_path):
    """Calls the command in this process: exit code, output and errors."""

    def call(*arguments: object, stdin: bytes = b"") -> tuple[int, list, str]:
        monkeypatch.setattr(sys, "argv", ["lsc-cl", *map(str, arguments)])
        (tmp_path / ".stdin").write_bytes(stdin)
        before = os.dup(0)
        with (tmp_path / ".stdin").open("rb") as file:
            os.dup2(file.fileno(), 0)
        try:
            with pytest.raises(SystemExit) as end:
                main()
        finally:
            os.dup2(before, 0)
            os.close(before)
        out, err = capfdbinary.readouterr()
        return end.value.code or 0, [json.loads(line) for line in out.splitlines()], err.decode()

    return call


def png(image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_a_folder_is_answered_in_the_order_of_its_names(lsc_cl, digits_run, photos):
    code, lines, errors = lsc_cl("stream", digits_run, photos, "--top", 2)
    assert code == 0
    assert [line["id"] for line in lines] == [f"{c}/{i}.png" for c in range(10) for i in range(7)]
    right = [line["label"] == line["id"][0] for line in lines if line["id"] < "8"]
    assert np.mean(right) > 0.8
    assert {len(line["alternatives"]) for line in lines} == {2}
    assert "70 inputs" in errors
    assert "% unknown" in errors
    assert errors.count("\n") == 1


def test_all_kinds_of_sources_say_the_same_of_the_same_images(
    lsc_cl, digits_run, photos, digits, tmp_path
):
    paths = sorted(photos.rglob("*.png"))[:20]
    images = [np.asarray(Image.open(path)) for path in paths]
    np.savez(tmp_path / "x.npz", x=np.stack(images))
    listed = "".join(f"{path}\n" for path in paths).encode()
    objects = "".join(
        json.dumps({"id": i, "pixels": image.tolist()}) + "\n" for i, image in enumerate(images)
    ).encode()
    ways = {
        "files": lsc_cl("stream", digits_run, *paths),
        "list": lsc_cl("stream", digits_run, "-", stdin=listed),
        "objects": lsc_cl("stream", digits_run, "-", stdin=objects),
        "npz": lsc_cl("stream", digits_run, tmp_path / "x.npz"),
    }
    names = {way: [line.pop("id") for line in lines] for way, (_, lines, _) in ways.items()}
    assert names["files"] == names["list"] == [str(path) for path in paths]
    assert names["objects"] == names["npz"] == list(range(20))
    assert len({json.dumps(lines) for _, lines, _ in ways.values()}) == 1
    assert {code for code, _, _ in ways.values()} == {0}


def test_inputs_of_several_sources_keep_apart(lsc_cl, digits_run, photos, digits, tmp_path):
    np.savez(tmp_path / "a.npz", x=digits[0][:2])
    np.savez(tmp_path / "b.npz", x=digits[0][:1])
    sources = (tmp_path / "a.npz", photos / "3", tmp_path / "b.npz")
    _, lines, _ = lsc_cl("stream", digits_run, *sources)
    assert [line["id"] for line in lines] == [
        *(f"{tmp_path}/a.npz[{i}]" for i in range(2)),
        *(f"{photos}/3/{i}.png" for i in range(7)),
        f"{tmp_path}/b.npz[0]",
    ]


def broken(folder: Path, good: bytes) -> list[dict]:
    """Ten kinds of broken inputs, as JSON values; two of them are no JSON."""
    folder.mkdir()
    (folder / "truncated.png").write_bytes(good[:-30])
    (folder / "text.png").write_text("no image")
    (folder / "empty.png").write_bytes(b"")
    return [
        {"path": str(folder / "truncated.png")},
        {"path": str(folder / "text.png")},
        {"path": str(folder / "empty.png")},
        {"path": str(folder / "missing.png")},
        {"path": str(folder)},
        {"pixels": [[1, 2], [3, 4]]},
        {"pixels": [[1, 2], [3]]},
        {"pixels": [[float("nan")] * 8] * 8},
        {"neither": 1},
        {"path": 17},
    ]


def test_one_input_in_twenty_is_broken_in_one_of_ten_ways(lsc_cl, digits_run, digits, tmp_path):
    count, kinds = 1_000, broken(tmp_path / "bad", png(digits[0][0]))
    ways = itertools.cycle(kinds)
    lines = [
        json.dumps({"id": i} | (next(ways) if i % 20 == 7 else {"pixels": image.tolist()}))
        for i, image in zip(range(count), itertools.cycle(digits[0]))
    ]
    lines[507] = lines[507][:-5]  # and two lines of text that are not JSON at all
    lines[527] = "{" + lines[527]
    code, said, errors = lsc_cl(
        "stream", digits_run, "-", "--batch-size", 32, stdin="\n".join(lines).encode()
    )
    failed = [line for line in said if "error" in line]
    names = [i if i not in (507, 527) else i + 1 for i in range(count)]  # numbers of lines
    assert [line["id"] for line in said] == names
    assert [line["id"] for line in failed] == [n for i, n in enumerate(names) if i % 20 == 7]
    assert all(line["error"] and set(line) == {"id", "error"} for line in failed)
    assert code == 1
    assert "50 failed" in errors


def test_what_a_killed_stream_left_is_completed(lsc_cl, digits_run, photos, tmp_path):
    (photos / "4" / "2.png").write_bytes(b"broken")
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    options = ("stream", digits_run, photos, "--batch-size", 7, "--resume", "--output")
    assert lsc_cl(*options, whole)[:2] == (1, [])
    content = whole.read_bytes()
    assert content.count(b"\n") == 70
    for cut in (0, 1, len(content) // 2, len(content) - 1, len(content)):
        out.write_bytes(content[:cut])
        code, said, errors = lsc_cl(*options, out)
        assert (code, said) == (1, [])
        assert "70 inputs" in errors
        # Other batches may round otherwise.
        for line, again in zip(content.splitlines(), out.read_bytes().splitlines(), strict=True):
            line, again = json.loads(line), json.loads(again)
            assert again.pop("novelty", 0) == pytest.approx(line.pop("novelty", 0), abs=1e-3)
            line.pop("alternatives", None), again.pop("alternatives", None)
            assert again == pytest.approx(line, abs=1e-5)


def test_unknown_inputs_are_put_aside(lsc_cl, digits_run, photos, digits, tmp_path):
    np.savez(tmp_path / "x.npz", x=digits[0])
    aside = tmp_path / "unknown"
    options = ("--save-unknown", aside, "--fpr", 0.2)
    _, lines, _ = lsc_cl("stream", digits_run, photos, tmp_path / "x.npz", *options)
    unknown = [number for number, line in enumerate(lines, 1) if not line["known"]]
    kept = sorted(aside.iterdir())
    assert 20 < len(unknown) < len(lines)
    assert [int(path.name[:8]) for path in kept] == unknown
    for path, number in zip(kept, unknown, strict=True):
        if number <= 70:
            assert path.read_bytes() == Path(lines[number - 1]["id"]).read_bytes()
        else:
            assert np.array_equal(np.asarray(Image.open(path)), digits[0][number - 71])


def test_names_of_files_do_nothing_to_terminals_folders_and_the_output(
    lsc_cl, digits_run, photos, tmp_path
):
    inbox, aside = tmp_path / "inbox", tmp_path / "aside"
    inbox.mkdir()
    names = ["a" * 250 + ".png", "\x1b[2J\x9b31m.png", os.fsdecode(b"caf\xe9.png"), "b\nc.png"]
    for name in names:
        shutil.copyfile(photos / "9" / "0.png", inbox / name)
    (inbox / "\x1b]0;bad.png").touch()
    output = tmp_path / "o.jsonl"
    options = ("--save-unknown", aside, "--fpr", 0.9, "--output", output)
    code, _, errors = lsc_cl("stream", digits_run, inbox, *options)
    assert code == 1  # for the empty file
    assert all(c.isprintable() or c == "\n" for c in errors)
    text = output.read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.splitlines())
    answers = [json.loads(line) for line in text.splitlines()]
    assert len(answers) == 5
    kept = sorted(path.name for path in aside.iterdir())
    assert len(kept) == sum(answer.get("known") is False for answer in answers) > 0
    assert all(name.isprintable() and len(os.fsencode(name)) < 256 for name in kept)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}/nothing", "{photos}"], "there is no folder"),
        (["{photos}", "{photos}"], "holds no model"),
        (["{run}", "{photos}", "--save-unknown", "{photos}/x"], "lies in"),
        (["{run}", "{photos}", "--save-unknown", "{photos}"], "lies in"),
        (["{run}", "{photos}", "--save-unknown", "{run}/config.yaml"], "is a file: name a folder"),
        (["{run}", "{run}/checkpoints"], "holds no images"),
        (["{run}", "{photos}", "--score", "mas"], "unknown novelty score 'mas'"),
        (["{run}", "{photos}", "--fpr", "0"], "a false-alarm rate lies between 0 and 1"),
        (["{run}", "{photos}", "--top", "-1"], "the number of alternatives is 0 or more"),
        (["{run}", "{photos}", "--batch-size", "0"], "the batch size is 1 or more"),
        (["{run}", "{photos}", "--workers", "0"], "the number of workers is 1 or more"),
        (["{run}", "{photos}", "--device", "gpu"], "device=gpu is not available here"),
        (["{run}", "{photos}", "--resume"], "name it with --output"),
        (["{run}", "-", "-"], "standard input can be read once"),
        (["{run}", "-", "--watch"], "--watch needs a folder as the only source"),
        (["{run}", "{photos}", "{photos}", "--watch"], "--watch needs a folder"),
        (["{run}", "missing.npz"], "missing.npz cannot be read as an .npz file"),
        (["{run}", "{photos}", "--output", "{photos}/0/0.png"], "add --resume to go on"),
        (["{run}", "{photos}", "--output", "{photos}/0/0.png", "--resume"], "something else than"),
        (["{plain}", "{photos}", "--save-unknown", "x"], "needs a run with a calibrated detector"),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_two(
    lsc_cl, digits_run, uncalibrated_run, photos, arguments, message
):
    places = {"run": digits_run, "photos": photos, "plain": uncalibrated_run}
    before = (photos / "0" / "0.png").read_bytes()
    code, lines, errors = lsc_cl("stream", *(a.format(**places) for a in arguments))
    assert (code, lines) == (2, [])
    assert message in errors
    assert errors.splitlines()[-1].startswith("error: ")
    assert (photos / "0" / "0.png").read_bytes() == before


def test_without_calibration_it_works_and_says_once_what_is_missing(
    lsc_cl, uncalibrated_run, photos
):
    code, lines, errors = lsc_cl("stream", uncalibrated_run, photos)
    assert code == 0
    assert {(line["known"], line["p_value"]) for line in lines} == {(None, None)}
    assert errors.count("warning: ") == 1
    assert "holds no calibration" in errors


def test_nobody_reading_ends_it_quietly(tmp_path, digits_run, photos):
    script = tmp_path / "closed.py"
    script.write_text(
        "import os, sys\n"
        "read, write = os.pipe()\n"
        "os.close(read)\n"
        "os.dup2(write, 1)\n"
        f"sys.argv = ['lsc-cl', 'stream', {str(digits_run)!r}, {str(photos)!r}]\n"
        "from lsc_continual.cli.main import main\n"
        "main()\n"
    )
    code, _, errors = Process(tmp_path, str(script)).end()
    assert (code, errors) == (141, "")


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_watched_folder_is_answered_until_it_is_told_to_stop(
    tmp_path, digits_run, photos, number, expected
):
    inbox, out = tmp_path / "inbox", tmp_path / "out.jsonl"
    inbox.mkdir()
    arguments = ("stream", str(digits_run), str(inbox), "--watch", "--output", str(out), "--resume")

    def answered() -> list[str]:
        lines = out.read_text().splitlines() if out.exists() else []
        return [json.loads(line)["id"] for line in lines]

    for rounds in (["0.png", "1.png"], ["2.png"]):  # the second goes on with the file
        before = answered()
        process = Process(tmp_path, *arguments, "--batch-seconds", "0.1")
        try:
            for name in rounds:
                shutil.copy(photos / "3" / name, inbox / name)
                process.wait_until(lambda name=name: name in answered())
            process.send(number)
            code, said, _ = process.end()
        finally:
            process.stop()
        assert (code, said) == (expected, "")
        assert answered() == before + rounds
