"""The C interface from Python, with nothing but ctypes.
   usage: predict.py LIBDURA.SO MODEL PICTURE...
Says what each picture shows, and writes where the network looked: map1.png, map2.png, ..."""
import ctypes
import struct
import sys
import zlib
from ctypes import POINTER, byref, c_char_p, c_double, c_int32, c_size_t, c_ssize_t, c_uint8, c_void_p


class Picture(ctypes.Structure):  # dura_picture: a file, the bytes of one, or pixels
    _fields_ = [("size", c_size_t), ("file", c_char_p), ("encoded", c_void_p), ("encoded_size", c_size_t),
                ("pixels", c_void_p), ("stride", c_ssize_t), ("width", c_int32), ("height", c_int32),
                ("channels", c_int32), ("reserved", c_int32)]

    def __init__(self, **members):
        super().__init__(size=ctypes.sizeof(Picture), **members)


class Dura:
    """One model; one call handle, so for one thread at a time."""

    def __init__(self, library, model):
        lib = self.lib = ctypes.CDLL(library)
        for name, result, arguments in [
                ("dura_call_new", c_void_p, []), ("dura_call_free", None, [c_void_p]),
                ("dura_message", c_char_p, [c_void_p]),
                ("dura_open_file", c_void_p, [c_void_p, c_char_p, c_void_p]), ("dura_close", None, [c_void_p]),
                ("dura_class_count", c_size_t, [c_void_p]), ("dura_class_name", c_char_p, [c_void_p, c_size_t]),
                ("dura_explain", c_int32, [c_void_p, c_void_p, POINTER(Picture), c_void_p]),
                ("dura_probabilities", POINTER(c_double), [c_void_p, c_size_t]),
                ("dura_overlay", POINTER(c_uint8), [c_void_p, POINTER(c_int32), POINTER(c_int32)])]:
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        self.call = lib.dura_call_new()
        self.model = lib.dura_open_file(self.call, model.encode(), None)
        if not self.model:
            raise RuntimeError(lib.dura_message(self.call).decode())
        self.classes = [lib.dura_class_name(self.model, i).decode() for i in range(lib.dura_class_count(self.model))]

    def explain(self, picture):
        """{class: probability}, and the picture under its map as (width, height, RGBA bytes)."""
        if self.lib.dura_explain(self.call, self.model, byref(picture), None) != 0:
            raise RuntimeError(self.lib.dura_message(self.call).decode())
        probabilities = self.lib.dura_probabilities(self.call, 0)[:len(self.classes)]
        width, height = c_int32(), c_int32()
        rgba = self.lib.dura_overlay(self.call, byref(width), byref(height))
        overlay = width.value, height.value, ctypes.string_at(rgba, 4 * width.value * height.value)
        return dict(zip(self.classes, probabilities)), overlay

    def close(self):
        self.lib.dura_close(self.model)
        self.lib.dura_call_free(self.call)


def png(width, height, rgba):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + rgba[4 * width * y:4 * width * (y + 1)] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def main():
    dura = Dura(sys.argv[1], sys.argv[2])
    for number, file in enumerate(sys.argv[3:], 1):
        probabilities, overlay = dura.explain(Picture(file=file.encode()))
        best = max(probabilities, key=probabilities.get)
        print(f"{file} {best} {probabilities[best]:.2f}")
        with open(f"map{number}.png", "wb") as out:
            out.write(png(*overlay))
    dura.close()


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(str(error))
