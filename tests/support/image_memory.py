"""Prints how many bytes more a process holds at most after it has read all image files of a folder."""

import io
import sys
from pathlib import Path

from PIL import Image

from compression.errors import DataError
from compression.inside.own_image import read_image

STATUS = Path("/proc/self/status")


def held() -> int:
    """Returns the most bytes that this process has held so far. The ru_maxrss of a child begins with its parent's."""
    [line] = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def main(folder: Path) -> None:
    """Reads all files of `folder` after one small image, with which Pillow loads what it needs."""
    small = io.BytesIO()
    Image.new("RGB", (32, 32)).save(small, "PNG")
    read_image(small.getvalue(), 32, 32)
    before = held()
    for path in sorted(folder.iterdir()):
        try:
            read_image(path.read_bytes(), 32, 32)
        except DataError:
            continue
    print(held() - before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
