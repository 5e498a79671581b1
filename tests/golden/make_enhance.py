"""Writes enhance.txt: Pillow's ImageEnhance.Sharpness on pictures made from an integer hash (picture_formula.py).
Run: python make_enhance.py    (made with Pillow 13.0.0)"""
import os

from PIL import Image, ImageEnhance

from picture_formula import picture

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [(40, 33, 1, 1.0), (40, 33, 1, 1.37), (21, 24, 3, 2.0), (21, 24, 3, 0.25), (2, 5, 1, 1.8), (9, 1, 1, 1.8)]

with open(os.path.join(HERE, "enhance.txt"), "w") as out:
    for h, w, c, factor in CASES:
        sharp = ImageEnhance.Sharpness(Image.fromarray(picture(h, w, c))).enhance(factor)
        out.write(f"{h} {w} {c} {factor} {sharp.tobytes().hex()}\n")
