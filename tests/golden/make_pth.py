#!/usr/bin/env python3
"""Makes the golden weight files of tests/golden/weights: what the real torch.save writes, and beside each the values
it stands for as a small safetensors file written by Python's safetensors. Needs torch and safetensors.

    python make_pth.py        # writes into weights/ beside this script
"""
import collections
import pathlib

import torch
from safetensors.torch import save

OUT = pathlib.Path(__file__).parent / "weights"


def ramp(*shape, dtype=torch.float32, start=0):
    """Values that differ everywhere and are exact in every type."""
    count = 1
    for extent in shape:
        count *= extent
    return ((torch.arange(count) * 3 + start) % 251 - 40).to(torch.float32).mul(0.25).to(dtype).reshape(shape)


def write(name, content, expected, legacy=False):
    torch.save(content, OUT / f"{name}.pth")
    if legacy:
        torch.save(content, OUT / f"{name}_legacy.pth", _use_new_zipfile_serialization=False)
    contiguous = {key: value.detach().contiguous().clone() for key, value in expected.items()}
    (OUT / f"{name}.safetensors").write_bytes(save(contiguous, metadata={"golden": name}))


def all_types():
    return collections.OrderedDict(
        float=ramp(2, 3, 2, 2), half=ramp(5, dtype=torch.float16), bfloat16=ramp(3, 3, dtype=torch.bfloat16),
        double=torch.tensor([0.1, -1e300, 5e-324], dtype=torch.float64), long=torch.tensor([-(2**62), 7, 2**53 + 1]),
        int=torch.tensor([[-(2**31), 2**31 - 1]], dtype=torch.int32), byte=torch.tensor([0, 200, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False, True]), scalar=torch.tensor(42), empty=torch.zeros(0, 3))


def views():
    base = ramp(4, 6)
    return collections.OrderedDict(
        base=base, tied=base, row=base[2], column=base[:, 1], transposed=base.t(), strided=base[1:, ::2], block=base[1:3, 2:5],
        permuted=ramp(2, 3, 4).permute(2, 0, 1), expanded=ramp(3, 1).expand(3, 4), channels_last=ramp(2, 3, 4, 4).to(memory_format=torch.channels_last))


class Small(torch.nn.Module):
    """A stem as in a ResNet: its state dict carries `_metadata` and 64-bit counters."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 2)
        with torch.no_grad():
            for i, tensor in enumerate(self.state_dict().values()):
                tensor.copy_(ramp(*tensor.shape, dtype=tensor.dtype, start=i))


def main():
    OUT.mkdir(exist_ok=True)
    write("types", all_types(), all_types(), legacy=True)
    write("views", views(), views(), legacy=True)

    state = Small().state_dict()
    write("module", state, state, legacy=True)
    write("nested", {"epoch": 3, "arch": "resnet50", "best": 0.5, "state_dict": state, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}}, state)
    parameters = collections.OrderedDict(weight=torch.nn.Parameter(ramp(2, 3)), bias=torch.nn.Parameter(ramp(3), requires_grad=False))
    write("parameters", parameters, parameters)
    write("grouped", {"backbone": collections.OrderedDict(weight=ramp(2)), "head": {"bias": ramp(3), "inner": {"scale": ramp(1)}}},
          {"backbone.weight": ramp(2), "head.bias": ramp(3), "head.inner.scale": ramp(1)})

    class Foreign:
        """What an attack looks like: unpickling it would run a command."""

        def __reduce__(self):
            import os
            return os.system, ("echo this must never run",)

    torch.save({"weight": ramp(2), "evil": Foreign()}, OUT / "foreign.pth")
    torch.save({"weight": ramp(2), "evil": Foreign()}, OUT / "foreign_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(Small().bn1, OUT / "whole_module.pth")
    torch.save({"weight": torch.tensor([1, 2], dtype=torch.int16)}, OUT / "short.pth")
    torch.save({"weight": torch.tensor([1 + 2j])}, OUT / "complex.pth")
    torch.save([1, 2, 3], OUT / "no_tensors.pth")


if __name__ == "__main__":
    main()
