#!/usr/bin/env python3
"""dura-bench and its peers in turn, on the same machine in the same minutes: medians of the rounds, as one table.

usage: bench_against_torch.py PATH/TO/dura-bench [--modes inf train half head] [--precisions f32 bf16] [--batches 16 1] [--peers torch jit ort openvino ncnn mnn]
                              [--rounds 3] [--repetitions 3] [--threads 2] [--json FILE]

Needs Python with torch and torchvision, and for the engines that only infer onnx, onnxruntime, openvino, ncnn with pnnx, MNN: a peer that cannot be imported is
left out by name. Nothing of this is needed to build, run or test dura. Every peer gets its best settings: threads set, channels-last for PyTorch, frozen graphs, and
an allocator that keeps freed memory (glibc gives large blocks back at once, which costs PyTorch a quarter to a half of its speed). bf16 is PyTorch's autocast and the
engines' own setting. Peers run torchvision's ResNet-50 on one input; each one's outputs are compared with eager PyTorch's in f32 before its time counts.
half: free from layer3.3 on, BatchNorm below in inference form; head: the dense layer alone. Training is measured with one batch size, the first of --batches.
"""
import argparse, json, os, resource, statistics, subprocess, sys, tempfile, time, warnings

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "268435456"}
TRAINING, INFERENCE = ["torch"], ["torch", "jit", "ort", "openvino", "ncnn", "mnn"]
PRECISIONS = {"torch": ["f32", "bf16"], "jit": ["f32", "bf16"], "ort": ["f32"], "openvino": ["f32", "bf16", "f16"], "ncnn": ["f32", "bf16"], "mnn": ["f32", "bf16"]}
MODULES = {"torch": "torch", "jit": "torch", "ort": "onnxruntime, onnx, onnxscript", "openvino": "openvino", "ncnn": "ncnn, pnnx", "mnn": "MNN, onnx, onnxscript"}
TOLERANCE = {"f32": 1e-3, "bf16": 0.1, "f16": 0.03}  # largest difference of an output, relative to the largest output


def inference_step(peer, precision, model, images, threads, folder):
    """A function that runs the network once and returns its outputs as a tensor; and the engine's version."""
    import numpy as np, torch

    if peer in ("torch", "jit"):
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
        autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16", cache_enabled=peer == "torch")
        if peer == "jit":
            with torch.no_grad(), autocast():
                model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, images)))

        def step():
            with torch.no_grad(), autocast():
                return model(images).float()

        return step, torch.__version__
    array = np.ascontiguousarray(images.numpy())
    if peer == "openvino":
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.Core().compile_model(openvino.convert_model(model, example_input=images, input=[list(images.shape)]), "CPU", settings)
        return lambda: torch.from_numpy(np.array(list(compiled([array]).values())[0])), openvino.__version__
    if peer == "ncnn":
        import ncnn, pnnx

        pnnx.export(model, os.path.join(folder, "r50.pt"), (images[:1],), fp16=False)
        net = ncnn.Net()
        net.opt.num_threads, net.opt.use_bf16_storage = threads, precision == "bf16"
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_vulkan_compute = False
        net.load_param(os.path.join(folder, "r50.ncnn.param")), net.load_model(os.path.join(folder, "r50.ncnn.bin"))

        def one(image):
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)))
            return np.array(extractor.extract("out0")[1])

        return lambda: torch.from_numpy(np.stack([one(image) for image in array])), ncnn.__version__  # it has no batches: one by one
    path = os.path.join(folder, "resnet50.onnx")
    torch.onnx.export(model, (images,), path, dynamo=True)
    if peer == "ort":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda: torch.from_numpy(session.run(None, {name: array})[0]), onnxruntime.__version__
    import MNN

    converter = os.path.join(os.path.dirname(sys.executable), "mnnconvert")
    subprocess.run([converter, "-f", "ONNX", "--modelFile", path, "--MNNModel", path + ".mnn", "--bizCode", "x"], check=True, stdout=subprocess.DEVNULL)
    interpreter = MNN.Interpreter(path + ".mnn")
    session = interpreter.createSession({"backend": "CPU", "numThread": threads, "precision": "high" if precision == "f32" else "low_BF16"})
    to, out = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    float_nchw = (MNN.Halide_Type_Float, MNN.Tensor_DimensionType_Caffe)
    source = MNN.Tensor(array.shape, float_nchw[0], array, float_nchw[1])
    target = MNN.Tensor((len(array), 1000), float_nchw[0], np.zeros((len(array), 1000), np.float32), float_nchw[1])

    def step():
        to.copyFrom(source), interpreter.runSession(session), out.copyToHostTensor(target)
        return torch.from_numpy(np.array(target.getData(), dtype=np.float32).reshape(len(array), 1000))

    return step, MNN.version()


def training_step(mode, precision, model, images, labels):
    import torch

    model.train()
    frozen = {"train": [], "head": [c for n, c in model.named_children() if n != "fc"],
              "half": [model.conv1, model.bn1, model.layer1, model.layer2, *list(model.layer3)[:3]]}[mode]
    for module in frozen:
        module.eval()
        for p in module.parameters():
            p.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()

    return step


def worker(peer, mode, precision, batch, threads, repetitions):
    import torch, torchvision

    warnings.simplefilter("ignore", FutureWarning)  # of torch.jit, which is still the fastest of PyTorch's own ways here
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model, images, error = torchvision.models.resnet50(weights=None), torch.randn(batch, 3, 224, 224), 0.0
    with tempfile.TemporaryDirectory() as folder:
        if mode == "inf":
            model.eval()
            with torch.no_grad():
                expected = model(images)
            step, version = inference_step(peer, precision, model, images, threads, folder)
            error = ((step() - expected).abs().max() / expected.abs().max()).item()
            if not error <= TOLERANCE[precision]:
                sys.exit(f"{peer} in {precision}: outputs differ from eager PyTorch's by {error:.2g} of the largest")
        else:
            channels_last = torch.channels_last
            step = training_step(mode, precision, model.to(memory_format=channels_last), images.to(memory_format=channels_last), torch.randint(0, 1000, (batch,)))
            version = torch.__version__
        step()
        seconds = []
        for _ in range(repetitions):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"ips_med": round(batch / statistics.median(seconds), 2), "rss": rss, "version": version, "error": error}))


def last_json(command, environment):
    out = subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def importable(peer):
    return subprocess.run([sys.executable, "-P", "-c", f"import {MODULES[peer]}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:5], *map(int, sys.argv[5:8]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--modes", nargs="+", default=["inf", "train", "half", "head"])
    parser.add_argument("--precisions", nargs="+", default=["f32", "bf16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[16, 1])
    parser.add_argument("--peers", nargs="+", default=INFERENCE, choices=INFERENCE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", default="")
    a = parser.parse_args()
    peers = [p for p in a.peers if importable(p)]
    for p in a.peers:
        if p not in peers:
            print(f"{p}: not installed here, left out", flush=True)
    rows = []
    for precision in a.precisions:
        for mode, batch in [(m, b) for m in a.modes for b in (a.batches if m == "inf" else a.batches[:1])]:
            repetitions = a.repetitions if batch > 1 else 10 * a.repetitions
            ours = [a.program, "--mode", mode, "--batch", str(batch), "--precision", precision, "--repetitions", str(repetitions), "--threads", str(a.threads)]
            programs = {"dura": (ours, {})}
            for peer in peers:
                if peer in (INFERENCE if mode == "inf" else TRAINING) and precision in PRECISIONS[peer]:
                    programs[peer] = ([sys.executable, __file__, "--worker", peer, mode, precision, str(batch), str(a.threads), str(repetitions)], ALLOCATOR)
            runs = {name: [] for name in programs}
            for _ in range(a.rounds):  # in turn, so that a machine that drifts slows all
                for name, (command, environment) in programs.items():
                    runs[name].append(last_json(command, environment))
            median = lambda name, key: statistics.median(r[key] for r in runs[name])
            for name in programs:
                rows.append({"precision": precision, "mode": mode, "batch": batch, "program": name, "images_per_second": median(name, "ips_med"), "rss": median(name, "rss"),
                             "speed": round(median("dura", "ips_med") / median(name, "ips_med"), 3), "memory": round(median("dura", "rss") / median(name, "rss"), 3),
                             "version": runs[name][0].get("version", runs[name][0].get("kernels"))})
                r = rows[-1]
                beside = "" if name == "dura" else f"   dura: {r['speed']:.2f} of its speed, {r['memory']:.2f} of its memory"
                print(f"{precision:4} {mode:5} batch {batch:3}  {name:8} {r['images_per_second']:7.2f} images/s  {r['rss']:5.0f} MiB{beside}   ({r['version']})", flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(rows, f, indent=1)


main()
