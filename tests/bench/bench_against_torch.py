#!/usr/bin/env python3
"""dura-bench and PyTorch in turn, on the same machine in the same minutes: medians of the rounds, and their ratio.

usage: bench_against_torch.py PATH/TO/dura-bench [--modes inf train half head] [--batch 16] [--rounds 3] [--repetitions 3] [--threads 2] [--json FILE]

Needs Python with torch and torchvision; nothing of this is needed to build, run or test dura. PyTorch gets its best settings: channels-last, threads set, and an
allocator that keeps freed memory (glibc gives large blocks back at once, which costs PyTorch a quarter to a half of its speed).
half: free from layer3.3 on, BatchNorm below in inference form; head: the dense layer alone.
"""
import argparse, json, os, resource, statistics, subprocess, sys, time

ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184", "MALLOC_TOP_PAD_": "268435456"}


def torch_worker(mode, batch, threads, repetitions):
    import torch, torchvision

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = torchvision.models.resnet50(weights=None).to(memory_format=torch.channels_last)
    images = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (batch,))
    if mode == "inf":
        model.eval()

        def step():
            with torch.no_grad():
                model(images)
    else:
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
            torch.nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    for _ in range(2 if mode == "inf" else 1):
        step()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"mode": mode, "bs": batch, "ips_med": round(batch / statistics.median(seconds), 2), "rss": rss, "version": torch.__version__}))


def last_json(command, environment):
    out = subprocess.run(command, env={**os.environ, **environment}, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def main():
    if sys.argv[1:2] == ["--torch-worker"]:
        return torch_worker(sys.argv[2], *map(int, sys.argv[3:6]))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--modes", nargs="+", default=["inf", "train", "half", "head"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", default="")
    a = parser.parse_args()
    rows = []
    for mode in a.modes:
        ours, theirs = [], []
        for _ in range(a.rounds):  # in turn, so that a machine that drifts slows both
            ours.append(last_json([a.program, "--mode", mode, "--batch", str(a.batch), "--repetitions", str(a.repetitions), "--threads", str(a.threads)], {}))
            theirs.append(last_json([sys.executable, __file__, "--torch-worker", mode, str(a.batch), str(a.threads), str(a.repetitions)], ALLOCATOR))
        median = lambda runs, key: statistics.median(r[key] for r in runs)
        rows.append({"mode": mode, "batch": a.batch, "dura": median(ours, "ips_med"), "torch": median(theirs, "ips_med"),
                     "speed": round(median(ours, "ips_med") / median(theirs, "ips_med"), 3), "dura_rss": median(ours, "rss"), "torch_rss": median(theirs, "rss"),
                     "memory": round(median(ours, "rss") / median(theirs, "rss"), 3), "kernels": ours[0]["kernels"], "torch_version": theirs[0]["version"]})
        r = rows[-1]
        print(f"{mode:6} batch {a.batch:3}  dura {r['dura']:7.2f} images/s  torch {r['torch']:7.2f} images/s  ratio {r['speed']:.2f}   "
              f"memory {r['dura_rss']:5.0f} MiB against {r['torch_rss']:5.0f} MiB, ratio {r['memory']:.2f}   ({r['kernels']}, torch {r['torch_version']})", flush=True)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(rows, f, indent=1)


main()
