"""Does a network that was trained elsewhere answer here as it did there? Compares what PyTorch answered for labelled pictures with dura-predict, with
the C interface through ctypes, and with the exported ONNX file in ONNX Runtime; onnx.checker looks at ResNet-18 (random) and WEIGHTS in both variants
and two conventions of input, whose answers are compared with dura-predict's. Needs numpy, Pillow, onnx and onnxruntime; never needed to build dura.
   usage: check_answers.py LABELS.CSV FOLDER_OF_THE_PROGRAMS LIBDURA.SO MODEL.SAFETENSORS WEIGHTS
LABELS.CSV: file (relative to it), torch_top1 (number of the class), torch_p. The model's classes are in that order; WEIGHTS are those it was made of. Exit code 1 where an answer is
another one, or a probability more than 1e-3 away (1e-4 between dura and ONNX Runtime)."""
import csv
import itertools
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "docs" / "examples"))
from predict import Dura, Picture  # noqa: E402


def predicted(programs, model, files):
    """All probabilities by dura-predict, (files, classes)."""
    out = subprocess.run([programs / "dura-predict", "--model", model, "--device", "cpu", "--format", "csv", *files], check=True, capture_output=True, text=True)
    return np.array([[float(p) for p in row[3:]] for row in list(csv.reader(out.stdout.splitlines()))[1:]])


def by_onnx(file, pictures, size):
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    pixels = [np.asarray(Image.open(f).convert("RGB").resize((size, size), Image.BILINEAR), np.uint8) for f in pictures]
    return np.concatenate([session.run(["probabilities"], {name: p[None]})[0] for p in pixels])


def export(programs, model, out):
    subprocess.run([programs / "dura-convert", model, out], check=True, capture_output=True)
    onnx.checker.check_model(str(out), full_check=True)
    return str(out)


def write_resnet18(file):
    """Random weights under torchvision's names, with 1000 classes."""
    rng, state = np.random.default_rng(5), {}

    def conv(name, k, c, size):
        state[name + ".weight"] = rng.normal(0, (2 / (c * size * size)) ** 0.5, (k, c, size, size))

    def norm(name, k):
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.1, 0.1), ("running_mean", -0.1, 0.1), ("running_var", 0.8, 1.2)):
            state[f"{name}.{part}"] = rng.uniform(low, high, k)

    conv("conv1", 64, 3, 7), norm("bn1", 64)
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512), 1):
        for block in range(2):
            name = f"layer{stage}.{block}."
            conv(name + "conv1", outputs, inputs, 3), norm(name + "bn1", outputs), conv(name + "conv2", outputs, outputs, 3), norm(name + "bn2", outputs)
            if inputs != outputs:
                conv(name + "downsample.0", outputs, inputs, 1), norm(name + "downsample.1", outputs)
            inputs = outputs
    state["fc.weight"], state["fc.bias"] = rng.normal(0, 0.05, (1000, 512)), rng.normal(0, 0.05, 1000)
    header, end = {}, 0
    for name, values in state.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [end, end + 4 * values.size]}
        end += 4 * values.size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(v.astype("<f4").tobytes() for v in state.values()))


def main():
    labels, programs, library, model = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    rows = list(csv.DictReader(open(labels)))
    files = [str(labels.parent / r["file"]) for r in rows]
    truth, probability = np.array([int(r["torch_top1"]) for r in rows]), np.array([float(r["torch_p"]) for r in rows])
    bad = 0

    def compare(way, answers):
        nonlocal bad
        other = int((answers.argmax(1) != truth).sum())
        worst = float(np.abs(answers[np.arange(len(truth)), truth] - probability).max())
        print(f"{way}: {len(truth)} pictures, {other} other answers, probabilities at most {worst:.1e} away", flush=True)
        bad += other > 0 or worst > 1e-3

    compare("dura-predict", predicted(programs, model, files))
    dura = Dura(library, model)
    compare("C interface, from Python", np.array([list(dura.explain(Picture(file=f.encode()))[0].values()) for f in files]))
    dura.close()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        compare("ONNX Runtime", by_onnx(export(programs, model, folder / "model.onnx"), files, 224))
        few = files[:8]
        write_resnet18(folder / "resnet18.safetensors")
        for weights, variant, convention in itertools.product((sys.argv[5], folder / "resnet18.safetensors"), ("v1", "v1_5"), ("torch", "caffe")):
            named, names = folder / "named.safetensors", folder / "names.txt"
            names.write_text("".join(f"c{i}\n" for i in range(1000)))
            subprocess.run([programs / "dura-convert", weights, named, "--classes-file", names, "--variant", variant, "--input", convention],
                           check=True, capture_output=True)
            difference = np.abs(by_onnx(export(programs, named, folder / "m.onnx"), few, 224) - predicted(programs, named, few)).max()
            print(f"ONNX Runtime, {pathlib.Path(weights).name} as {variant}, {convention}: at most {difference:.1e} from dura-predict", flush=True)
            bad += difference > 1e-4
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
