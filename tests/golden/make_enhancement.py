"""Writes clahe.txt and median.txt: OpenCV's createCLAHE and medianBlur on pictures made from an integer hash (picture_formula.py).
Run: python make_enhancement.py    (made with OpenCV 5.0.0)"""
import os

import cv2

from picture_formula import picture

HERE = os.path.dirname(os.path.abspath(__file__))
# height, width, clip limit, tiles down, tiles across: sizes that the tiles divide and not, one direction only, fewer pixels than tiles.
CLAHE = [(32, 32, 2.0, 8, 8), (32, 32, 40.0, 4, 4), (33, 32, 2.0, 8, 8), (32, 35, 3.0, 4, 8), (31, 29, 2.0, 8, 8), (40, 33, 1.0, 2, 3),
         (24, 24, 0.0, 3, 3), (27, 41, 0.0, 4, 2), (17, 5, 2.0, 4, 4), (6, 7, 2.0, 8, 8), (48, 20, 5.5, 1, 1), (20, 48, 0.5, 5, 6)]
MEDIAN = [(20, 23, 3), (20, 23, 5), (7, 3, 5), (1, 9, 3), (31, 16, 3), (16, 31, 5)]

with open(os.path.join(HERE, "clahe.txt"), "w") as out:
    for h, w, clip, down, across in CLAHE:
        result = cv2.createCLAHE(clip, (across, down)).apply(picture(h, w, 1))
        out.write(f"{h} {w} {clip} {down} {across} {result.tobytes().hex()}\n")
with open(os.path.join(HERE, "median.txt"), "w") as out:
    for h, w, size in MEDIAN:
        out.write(f"{h} {w} {size} {cv2.medianBlur(picture(h, w, 1), size).tobytes().hex()}\n")
