"""Writes resize.txt: Pillow's bilinear and nearest resizes of pictures made from an integer hash (tests/support/picture_formula.h has the same one).
Run: python make_resize.py    (made with Pillow 13.0.0)"""
import os

from PIL import Image

from picture_formula import picture

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [  # height, width, channels -> height, width
    (64, 64, 1, 28, 28),
    (60, 60, 3, 22, 22),
    (20, 20, 1, 33, 33),
    (53, 37, 3, 16, 20),
    (40, 40, 1, 40, 17),
    (31, 50, 1, 13, 50),
    (9, 7, 3, 20, 25),
    (5, 90, 1, 1, 1),
    (33, 47, 1, 33, 47),
    (64, 48, 1, 63, 49),
]

with open(os.path.join(HERE, "resize.txt"), "w") as out:
    for h, w, c, oh, ow in CASES:
        image = Image.fromarray(picture(h, w, c))
        for name, method in (("bilinear", Image.BILINEAR), ("nearest", Image.NEAREST)):
            out.write(f"{name} {h} {w} {c} {oh} {ow} {image.resize((ow, oh), method).tobytes().hex()}\n")
