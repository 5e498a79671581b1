#!/usr/bin/env python3
"""The results of tests/gpu/gpu_check.sh as two tables in Markdown: images/s and peak memory of dura beside PyTorch and LibTorch, and the mission's own.

usage: gpu_table.py FOLDER     FOLDER holds bench.jsonl and, where they were measured, torch.jsonl, libtorch.jsonl, study.json
"""
import json, pathlib, sys

MODES = {"train": "training, all free", "half": "training, from layer3.3 on", "head": "training, dense layer alone", "inf": "inference"}
TYPES = ["f16", "bf16", "tf32", "f32"]


def lines(folder, name):
    file = folder / name
    return [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")] if file.exists() else []


def peers(folder):
    """(mode, type, batch) -> {name: (images/s, MiB)}"""
    found = {}
    for r in lines(folder, "torch.jsonl") + lines(folder, "libtorch.jsonl"):
        name = "LibTorch" if r["peer"].startswith("libtorch") else "PyTorch compiled" if r["compiled"] else "PyTorch"
        found.setdefault((r["mode"], r["compute"], r["bs"]), {})[name] = (r["ips_med"], r["peak_mib"])
    return found


def speed(folder):
    ours = {}
    for r in lines(folder, "bench.jsonl"):
        ours.setdefault((r["mode"], r["precision"], r["bs"]), {})["captured" if r["captured"] else "eager"] = r
    others, names = peers(folder), ["PyTorch", "PyTorch compiled", "LibTorch"]
    print("images/s; MiB of device memory at most, of tensors (dura) and of the allocator (PyTorch, LibTorch)\n")
    print("| | type | batch | dura | without capture | " + " | ".join(names) + " | dura / PyTorch | MiB: dura | " + " | ".join(names) + " |")
    print("|---" * (7 + 2 * len(names) + 1) + "|")
    for mode in MODES:
        for kind in TYPES:
            for batch in sorted(b for m, t, b in ours if (m, t) == (mode, kind)):
                here, there = ours[mode, kind, batch], others.get((mode, kind, batch), {})
                first = here.get("captured") or here["eager"]
                text = lambda figure, digits=0: "" if figure is None else f"{figure:.{digits}f}"
                ratio = first["ips_med"] / there["PyTorch"][0] if "PyTorch" in there else None
                row = [MODES[mode], kind, str(batch), text(first["ips_med"]), text(here["eager"]["ips_med"] if "eager" in here else None)]
                row += [text(there.get(n, (None,))[0]) for n in names] + [text(ratio, 2), text(first["device_peak"])]
                row += [text(there[n][1]) if n in there else "" for n in names]
                print("| " + " | ".join(row) + " |")


def mission(folder):
    file = folder / "study.json"
    if not file.exists():
        return
    study = json.loads(file.read_text())
    print(f"\n| {study['rare_class']}, {study['size']} px | F1 | s per epoch | peak MiB |\n|---|---|---|---|")
    for row in study["rows"]:
        if row["runs"]:
            run = row["runs"][0]
            print(f"| {row['name']} | {run['f1']:.3f} | {run['epoch_seconds']:.1f} | {run['peak_memory_mib']:.0f} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    speed(pathlib.Path(sys.argv[1]))
    mission(pathlib.Path(sys.argv[1]))
