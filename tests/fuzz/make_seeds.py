"""Writes the seeds of corpus/ that no other program could have made: python3 make_seeds.py. Other files there are inputs that found a fault."""
import json
import pathlib
import struct
import zlib

here = pathlib.Path(__file__).parent


def write(target, name, data):
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def safetensors(tensors, metadata):
    """Tensors of zeros: (name, dtype, shape), four bytes an element."""
    header, end = {"__metadata__": metadata}, 0
    for name, dtype, shape in tensors:
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


model = {"dura.format": "dura model 1", "dura.classes": "Menin\nGlioma", "dura.depth": "18", "dura.dropout": "0.5", "dura.input": "torch",
         "dura.variant": "v1_5", "dura.stem_pool": "padded", "dura.size": "224", "dura.denoise": "median3", "dura.clahe": "2",
         "dura.clahe_tiles": "8"}
few = [("bn1.weight", "F32", [64]), ("fc.bias", "F32", [2])]
write("model_file", "torch", safetensors(few, model))
write("model_file", "caffe", safetensors(few, {**model, "dura.input": "caffe", "dura.variant": "v1", "dura.stem_pool": "ceil",
                                               "dura.depth": "101", "dura.denoise": "none"}))
write("model_file", "no_metadata", safetensors(few, {}))
write("safetensors", "metadata", safetensors([("w", "F32", [2, 3]), ("n", "I32", [])], {"key": "value \u00e9"}))

write("manifest", "columns", "file,label,split,patient,group,mask,mm_per_pixel,plane\n"
      "a.png,Menin,train,P1,G1,m/a.png,0.49,axial\nb/c.png,glioma,val,P2,,,,coronal\nd.png,Glioma,test,P3,G2,,1,axial\n")
write("manifest", "quoted", '\ufefffile,label\r\n"a,\"\"b.png",Menin\r\n\r\n"c\nd.png",meningioma\r\n')
write("manifest", "leak", "file,label,split,patient\na,Menin,train,P\nb,Glioma,test,P\nc,Glioma,other,\n")

write("toml", "values", "# a run\nepochs = 3\nlr = 1e-3\nname = \"a \\u00e9 \\\"b\\\"\"\nclasses = ['Menin=meningioma', \"Glioma\"]\nresume = true\n"
      "weights = [1, 4.5, inf, -0.0]\nhex = 0xff\n")
write("toml", "refused", "[table]\na = 1\n[[list]]\nb = [[1], {c = 1979-05-27T07:32:00Z}]\n")

write("plan", "knobs", "62 2=7 13=-1 18=0\nmeasured\n{}")

write("onnx", "graph", b"\x03abc\x00\x04Conv\x02\x01x\x01w\x02\x04pads\x02\x01" + bytes(range(16)) + b"\x01w\x01\x02\x02\x02\x01" + bytes(40)
      + b"\x01x\x02\x03" + struct.pack("<qqq", 0, 3, -1) + b"\x03key\x03\x05value")
# Bytes that c_interface.cpp makes its choices of: compute or not, how many pictures, their structs' size; form, extents, channels, stride.
picture = bytes([5, 1, 1, 20, 1, 10, 1]) + bytes(8) + b"\x00"
write("c_interface", "two_pictures", bytes([0, 1, 0]) + picture + b"\x01" + picture + b"\x01")
computed = bytes([63, 0, 0]) + picture + b"\x01" + bytes([1, 1, 1, 1, 1, 2, 0, 0, 1, 1, 1, 0])
while zlib.crc32(computed) % 64:  # only such bytes are let through to the network
    computed += bytes([zlib.crc32(computed) % 251])
write("c_interface", "computed", computed)
write("c_interface", "upside_down", bytes([0, 1, 0]) + bytes([5, 1, 1, 9, 1, 7, 0]) + bytes(8) + b"\x04\x01" + picture + b"\x01")
write("c_interface", "strange_extents", bytes([0, 0, 4, 5, 1, 0, 255, 255, 255, 127, 0, 0, 0, 0, 128, 6]) + bytes(range(9)))
