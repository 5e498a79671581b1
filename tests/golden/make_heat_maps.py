"""Writes heat_maps.txt: maps of four methods on a ResNet-18 in float64, and rank correlation, structural similarity and Otsu's threshold of random values.

Each line is a name and its numbers. Needs torch, torchvision, scipy, opencv; run by hand: python3 make_heat_maps.py > heat_maps.txt
"""
import cv2
import numpy as np
import torch
import torchvision
from scipy import ndimage, stats

import hash_weights as hw

DEPTH, CLASSES, SEED, SIZE = 18, 3, 5, 64


def line(name, values):
    print(name, *('%.16e' % v for v in np.ravel(values)))


def maps_of(a, g):
    """The definitions of models/explain/grad_cam.h on (N,C,h,w) arrays, with whole-array operations."""
    relu = lambda v: np.maximum(v, 0)
    with np.errstate(divide='ignore', invalid='ignore'):
        alpha = np.where(g != 0, g**2 / (2 * g**2 + a.sum((2, 3), keepdims=True) * g**3 + 1e-6), 0)
    return {
        'gradcam': relu((g.mean((2, 3), keepdims=True) * a).sum(1)),
        'gradcam++': relu(((relu(g) * alpha).sum((2, 3), keepdims=True) * a).sum(1)),
        'hirescam': relu((g * a).sum(1)),
        'layercam': relu((relu(g) * a).sum(1)),
    }


def networks():
    model = torchvision.models.resnet18(weights=None, num_classes=CLASSES).double().eval()
    for name, tensor in model.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            tensor.copy_(torch.from_numpy(hw.hash_tensor(name, tuple(tensor.shape), DEPTH)))
    classes = torch.tensor([2, 0])
    for stage in (2, 3, 4):
        kept = []
        layer = getattr(model, f'layer{stage}')
        handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output) or output.retain_grad())
        logits = model(torch.from_numpy(hw.hash_images(SEED, 2, SIZE)))
        handle.remove()
        logits.gather(1, classes[:, None]).sum().backward()
        for method, maps in maps_of(kept[0].detach().numpy(), kept[0].grad.numpy()).items():
            line(f'{method}_layer{stage}', maps)


def similarity():
    rng = np.random.RandomState(3)
    a, b = np.maximum(rng.randn(7, 9), 0), np.round(np.maximum(rng.randn(7, 9) + 0.3, 0), 1)
    line('rank_a', a)
    line('rank_b', b)
    line('rank_correlation', stats.spearmanr(a.ravel(), b.ravel()).statistic)
    # Mean over all 7x7 windows of the index of Wang et al. 2004 for a range of 1, sample variances as scikit-image has them.
    x, y = rng.rand(12, 10), rng.rand(12, 10)
    y = 0.6 * x + 0.4 * y
    window = lambda v: ndimage.uniform_filter(v, 7)
    ux, uy, n = window(x), window(y), 49 / 48
    vx, vy, vxy = n * (window(x * x) - ux * ux), n * (window(y * y) - uy * uy), n * (window(x * y) - ux * uy)
    s = (2 * ux * uy + 0.01**2) * (2 * vxy + 0.03**2) / ((ux**2 + uy**2 + 0.01**2) * (vx + vy + 0.03**2))
    line('ssim_x', x)
    line('ssim_y', y)
    line('ssim', s[3:-3, 3:-3].mean())
    levels = np.concatenate([rng.normal(60, 12, 300), rng.normal(150, 25, 120)]).clip(0, 255).astype(np.uint8)
    levels[:2] = 0, 255
    line('otsu_levels', levels)
    line('otsu', cv2.threshold(levels[None], 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0])


with torch.enable_grad():
    torch.set_num_threads(1)
    networks()
    similarity()
