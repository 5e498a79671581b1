#!/usr/bin/env python3
"""ResNet-50 in PyTorch on a CUDA card, with its best usual settings: channels-last, automatic mixed precision or TF32, eager and compiled.

usage: bench_torch_gpu.py [--batches 16 32 64 256] [--repetitions 20] [--modes inf train half head] [--types f16 bf16 tf32] [--size 224] [--device cuda|cpu]
                          [--compiled-batches 16 256] [--compiled-modes train inf] [--compiled-types f16]

Prints one line of JSON for each measurement, with the fields of dura-bench that mean the same. Needs torch and torchvision; tests/gpu/gpu_check.sh runs it beside dura-bench.
half: free from layer3.3 on, BatchNorm below in inference form; head: the dense layer alone. Compiling takes about a minute for each
measurement, so less of it is measured: what --compiled-... say; without batches nothing. On the CPU it only proves that it runs.
"""
import argparse, json, resource, statistics, sys, time

import torch, torchvision


def free_part(model, mode):
    frozen = {"half": [model.conv1, model.bn1, model.layer1, model.layer2, *list(model.layer3)[:3]], "head": [c for n, c in model.named_children() if n != "fc"]}
    model.train(mode != "inf")
    for module in frozen.get(mode, []):
        module.eval()
        module.requires_grad_(False)


def measure(o, mode, batch, kind, compiled):
    cuda = o.device == "cuda"
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = kind != "f32"
    torch.backends.cudnn.benchmark = True
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = torchvision.models.resnet50(weights=None).to(o.device).to(memory_format=torch.channels_last)
    free_part(model, mode)
    images = torch.randn(batch, 3, o.size, o.size, device=o.device).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (batch,), device=o.device)
    amp = {"f16": torch.float16, "bf16": torch.bfloat16}.get(kind)
    scaler = torch.amp.GradScaler(o.device, enabled=kind == "f16")
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4, fused=True)
    network = torch.compile(model) if compiled else model

    def forward():
        with torch.autocast(o.device, dtype=amp, enabled=amp is not None):
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

    def timed():
        start = time.perf_counter()
        step()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    for _ in range(5 if cuda else 1):
        timed()
    middle = statistics.median(timed() for _ in range(o.repetitions))
    peak = torch.cuda.max_memory_allocated() >> 20 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {"peer": "torch " + torch.__version__, "mode": mode, "compute": kind, "compiled": compiled, "bs": batch, "ms_step": round(1e3 * middle, 3),
            "ips_med": round(batch / middle, 1), "peak_mib": peak}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64, 256])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--modes", nargs="+", default=["inf", "train", "half", "head"])
    parser.add_argument("--types", nargs="+", default=["f16", "bf16", "tf32"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--compiled-batches", type=int, nargs="*", default=[16, 256])
    parser.add_argument("--compiled-modes", nargs="+", default=["train", "inf"])
    parser.add_argument("--compiled-types", nargs="+", default=["f16"])
    options = parser.parse_args()
    failed = False
    plain = (False, options.modes, options.types, options.batches)
    for compiled, modes, types, batches in (plain, (True, options.compiled_modes, options.compiled_types, options.compiled_batches)):
        for mode in modes:
            for kind in types:
                for batch in batches:
                    try:
                        print(json.dumps(measure(options, mode, batch, kind, compiled)), flush=True)
                    except Exception as error:  # one size too large must not hide the others
                        print(f"{mode} {kind} batch {batch} compiled {compiled}: {error}", file=sys.stderr)
                        failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
