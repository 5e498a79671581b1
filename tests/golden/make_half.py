"""Prints the checksums that tests/engine/test_dtype.cpp asserts: numpy's float16, and bfloat16 by torch, of 2^20 hashed float32 bit patterns."""
import numpy as np
import torch

import hash_weights as hw

bits = (hw.mix64(hw.counters(12345, 1 << 20)) >> np.uint64(32)).astype(np.uint32)
floats = bits.view(np.float32)
keep = ~np.isnan(floats)  # which NaN comes out is nobody's promise


def total(converted):
    return int(hw.mix64(np.where(keep, converted.astype(np.uint64), np.uint64(0)) ^ hw.mix64(hw.counters(0, bits.size))).sum(dtype=np.uint64))


with np.errstate(over='ignore'):
    print('f16  %016x' % total(floats.astype(np.float16).view(np.uint16)))
print('bf16 %016x' % total(torch.from_numpy(floats).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)))
# The same for magnitudes that f16 holds, subnormal ones included.
near = ((bits & np.uint32(0x80ffffff)) | ((np.uint32(100) + (bits >> np.uint32(24)) % np.uint32(45)) << np.uint32(23))).astype(np.uint32).view(np.float32)
keep = np.ones(bits.size, bool)
with np.errstate(over='ignore'):
    print('f16 within its range %016x' % total(near.astype(np.float16).view(np.uint16)))
