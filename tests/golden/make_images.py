"""Writes images/: small PNG and JPEG files of the kinds people have, and images.txt with what Pillow reads from each.
The picture is that of picture_formula.py, so that the PNGs need no stored answer.
Run: python make_images.py    (made with Pillow 13.0.0)"""
import os

import numpy as np
from PIL import Image

from picture_formula import picture

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "images")
os.makedirs(FOLDER, exist_ok=True)

gray, color = picture(24, 31, 1), picture(24, 31, 3)
smooth = np.add.outer(np.arange(24) * 5, np.arange(31) * 4).astype(np.uint8)
rgb_smooth = np.stack([smooth, 255 - smooth, smooth // 2], 2)


def path(name):
    return os.path.join(FOLDER, name)


Image.fromarray(gray).save(path("gray.png"))
Image.fromarray(color).save(path("rgb.png"))
Image.fromarray(np.dstack([color, gray])).save(path("rgba.png"))
Image.fromarray(np.dstack([gray, 255 - gray])).save(path("gray_alpha.png"))
Image.fromarray(gray > 127).save(path("mask_1bit.png"))
Image.fromarray((gray > 127).astype(np.uint8)).save(path("mask_zero_one.png"))
Image.fromarray(gray.astype(np.uint16) * 5 + 300).save(path("gray16.png"))
palette = Image.fromarray(gray // 16)
palette.putpalette([v for i in range(16) for v in (i * 16, 255 - i * 16, i * 8)])
palette.save(path("palette.png"))

jpegs = {
    "gray.jpg": (smooth, {}),
    "rgb_420.jpg": (rgb_smooth, {"subsampling": 2}),
    "rgb_444_progressive.jpg": (rgb_smooth, {"subsampling": 0, "progressive": True}),
    "mask.jpg": ((gray > 127).astype(np.uint8) * 255, {}),
}
with open(os.path.join(HERE, "images.txt"), "w") as out:
    for name, (pixels, options) in jpegs.items():
        Image.fromarray(pixels).save(path(name), quality=90, **options)
        read = Image.open(path(name))
        out.write(f"{name} {read.height} {read.width} {len(read.getbands())} {read.tobytes().hex()}\n")
