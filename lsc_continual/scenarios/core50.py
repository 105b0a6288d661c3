"""CORe50: videos of fifty domestic objects (arXiv 1705.03550)."""

from __future__ import annotations

from lsc_continual.inputs import ImageData
from lsc_continual.inputs.reading import read_files
from lsc_continual.inputs.source import Source
from lsc_continual.inputs.trees import image_paths, subfolders
from lsc_continual.scenarios.archives import Archive

_ARCHIVE = Archive(
    "CORe50",
    "http://bias.csr.unibo.it/maltoni/download/core50/core50_128x128.zip",
    "745f3373fed08d69343f1058ee559e13",
    "core50_128x128",
    "s1",
)
_KINDS = (
    *("plug_adapter", "mobile_phone", "scissors", "light_bulb", "can"),
    *("glass", "ball", "marker", "cup", "remote_control"),
)
_TEST_SESSIONS = ("s3", "s7", "s10")


def load_core50(source: Source) -> ImageData:
    """164,866 frames of 50 objects; sessions 3, 7 and 10 are for testing, as in the paper."""
    root = _ARCHIVE.obtain(source)
    sessions = [name for name in subfolders(root) if name.startswith("s")]
    names = [f"{kind}{i}" for kind in _KINDS for i in range(1, 6)]  # o1 … o50
    train, test = (
        {
            name: [
                path
                for session in sessions
                if (session in _TEST_SESSIONS) is tested
                for path in image_paths(root, f"{session}/o{number}")
            ]
            for number, name in enumerate(names, 1)
        }
        for tested in (False, True)
    )
    return read_files(root, train, test, source, resolution=64, channels=3)
