#!/usr/bin/env python3
"""ResNet-50 in PyTorch on a CUDA card, with its best usual settings: channels-last, automatic mixed precision or TF32, eager and compiled.

usage: bench_torch_gpu.py [--batches 16 32 64 256] [--repetitions 20] [--modes inf train]

Prints one line of JSON for each measurement, with the fields of dura-bench that mean the same. Needs torch and torchvision; tests/gpu_check.sh runs it beside dura-bench.
"""
import argparse, json, statistics, sys, time

import torch, torchvision


def measure(mode, batch, kind, compiled, repetitions):
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = kind != "f32"
    torch.backends.cudnn.benchmark = True
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = torchvision.models.resnet50(weights=None).cuda().to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (batch,), device="cuda")
    amp = {"f16": torch.float16, "bf16": torch.bfloat16}.get(kind)
    scaler = torch.amp.GradScaler("cuda", enabled=kind == "f16")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    network = torch.compile(model) if compiled else model
    model.train(mode == "train")

    def forward():
        with torch.autocast("cuda", dtype=amp, enabled=amp is not None):
            return network(images)

    def step():
        if mode == "inf":
            with torch.no_grad():
                forward()
            return
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(forward().float(), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    for _ in range(5):
        step()
    torch.cuda.synchronize()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    middle = statistics.median(seconds)
    return {"peer": "torch " + torch.__version__, "mode": mode, "compute": kind, "compiled": compiled, "bs": batch, "ms_step": round(1e3 * middle, 3),
            "ips_med": round(batch / middle, 1), "peak_mib": torch.cuda.max_memory_allocated() >> 20}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64, 256])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--modes", nargs="+", default=["inf", "train"])
    options = parser.parse_args()
    failed = False
    for compiled in (False, True):
        for mode in options.modes:
            for kind in ("f16", "bf16", "tf32"):
                for batch in options.batches:
                    try:
                        print(json.dumps(measure(mode, batch, kind, compiled, options.repetitions)), flush=True)
                    except Exception as error:  # one size too large must not hide the others
                        print(f"{mode} {kind} batch {batch} compiled {compiled}: {error}", file=sys.stderr)
                        failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
