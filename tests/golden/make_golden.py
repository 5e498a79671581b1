"""Makes golden.txt with float64 torchvision. Needs torch, torchvision, numpy; never needed to build dura or to run its tests.

usage: make_golden.py [--tries 10] [--out golden.txt]

For every case below: weights and inputs from hash_weights.py, one forward in evaluation form, one training step, and of what came out either all values
(logits, loss) or a digest (gradients, BatchNorm buffers, parameters after one Adam step in PyTorch's and in Keras' epsilon form).

Text format, one record a line:
  case NAME key value ...                     the settings, input seed and checksums included
  values KIND COUNT v ...                     of the case above: logits_eval, logits, loss
  digest KIND NAME sum l2 projection e0..e7   of the case above: gradient, buffer, adam_torch, adam_keras
"""
import argparse
import copy
import os

import numpy as np
import torch
import torchvision

import hash_weights as hw

here = os.path.dirname(os.path.abspath(__file__))
LEARNING_RATE = 1e-3

# trainable: the first module that is free (everything from there on is), or 'all'. frozen_bn: stored statistics everywhere, else batch statistics where free.
# weights: class weights by class index; norm: sum_over_batch (Keras) or sum_of_weights (PyTorch). v1: stride in the first 1x1, ceil-mode pooling.
# adam: the epsilon forms whose results are kept.
CASES = [
    dict(name='resnet50_full', depth=50, classes=10, batch=4, size=64, trainable='all', adam='torch'),
    dict(name='resnet50_half', depth=50, classes=10, batch=4, size=64, trainable='layer3.3', adam='keras'),
    dict(name='resnet50_head', depth=50, classes=2, batch=4, size=64, trainable='fc', adam='torch'),
    dict(name='resnet50_frozen_bn', depth=50, classes=2, batch=4, size=64, trainable='layer3.0', frozen_bn=1, weights='4,1', adam='keras'),
    dict(name='resnet50_v1', depth=50, classes=3, batch=3, size=64, trainable='all', v1=1, weights='2,0.5,1', norm='sum_of_weights', adam=''),
    dict(name='resnet18_full', depth=18, classes=5, batch=3, size=50, trainable='all'),
    dict(name='resnet18_frozen_bn', depth=18, classes=2, batch=3, size=50, trainable='layer2.1', frozen_bn=1, weights='4,1', adam='keras'),
]
DEFAULTS = dict(frozen_bn=0, v1=0, weights='', norm='sum_over_batch', adam='torch,keras')


class BottleneckV1(torchvision.models.resnet.Bottleneck):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, (1, 1)


def build(case):
    if case['v1']:
        model = torchvision.models.ResNet(BottleneckV1, [3, 4, 6, 3], num_classes=case['classes'])
        model.maxpool = torch.nn.MaxPool2d(3, 2, 0, ceil_mode=True)
    else:
        model = getattr(torchvision.models, f"resnet{case['depth']}")(weights=None, num_classes=case['classes'])
    model = model.double()
    total = 0
    for name, tensor in model.state_dict().items():
        if name.endswith('num_batches_tracked'):
            continue
        values = hw.hash_tensor(name, tuple(tensor.shape), case['depth'])
        total = (total + hw.mix64_scalar(hw.hash_name(name) ^ hw.checksum(values))) & hw.U64
        tensor.copy_(torch.from_numpy(values))
    return model, total


def is_free(case, name):
    """layerL.B and everything behind it in the order of execution."""
    if case['trainable'] == 'all' or name.startswith('fc'):
        return True
    if not case['trainable'].startswith('layer') or not name.startswith('layer'):
        return False
    return tuple(name[5:].split('.')[:2]) >= tuple(case['trainable'][5:].split('.'))


def step(model0, case, images, labels, dtype):
    model = copy.deepcopy(model0).to(dtype).train()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and (case['frozen_bn'] or not is_free(case, name)):
            module.eval()
    for name, p in model.named_parameters():
        p.requires_grad_(is_free(case, name))
    logits = model(images.to(dtype))
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction='none')
    if case['weights']:
        w = torch.tensor([float(v) for v in case['weights'].split(',')], dtype=dtype)[labels]
        losses = losses * w
        norm = w.sum() if case['norm'] == 'sum_of_weights' else len(labels)
    else:
        norm = len(labels)
    loss = losses.sum() / norm
    loss.backward()
    return model, logits.detach(), loss.detach()


def adam(p, form):
    """Step 1 from zero moments, in the two forms of epsilon."""
    g, b1, b2, t = p.grad.double(), 0.9, 0.999, 1
    m, v = (1 - b1) * g, (1 - b2) * g * g
    if form == 'torch':
        other = p.detach().clone().requires_grad_(True)
        other.grad = p.grad.clone()
        torch.optim.Adam([other], lr=LEARNING_RATE, betas=(b1, b2), eps=1e-8, foreach=False).step()
        return other.detach()
    return p.detach() - LEARNING_RATE * (1 - b2**t)**0.5 / (1 - b1**t) * m / (v.sqrt() + 1e-7)


def kink_error(case, model, seed):
    """Largest relative difference of a gradient tensor from float64's, over three computations with errors of single precision: two orders of summation
    in f32, and f64 from weights that are off by 3e-7. A ReLU or max-pool decision so near to its kink that rounding flips it shows here."""
    images, labels = torch.from_numpy(hw.hash_images(seed, case['batch'], case['size'])), torch.from_numpy(hw.hash_labels(seed, case['batch'], case['classes']))
    if len(set(labels.tolist())) == 1:
        return np.inf  # one class alone would not exercise the weights
    exact, _, _ = step(model, case, images, labels, torch.float64)
    perturbed = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in perturbed.parameters():
            p.mul_(1 + 3e-7 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    worst = 0.0
    for other, dtype, layout in ((model, torch.float32, torch.contiguous_format), (model, torch.float32, torch.channels_last),
                                 (perturbed, torch.float64, torch.contiguous_format)):
        found, _, _ = step(copy.deepcopy(other).to(memory_format=layout), case, images.to(memory_format=layout), labels, dtype)
        for (_, p), (_, q) in zip(exact.named_parameters(), found.named_parameters()):
            if p.grad is not None:
                worst = max(worst, ((q.grad.double() - p.grad).norm() / p.grad.norm()).item())
    return worst


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--tries', type=int, default=10)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', default=os.path.join(here, 'golden.txt'))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    lines = [f'# Made by make_golden.py with torch {torch.__version__}, torchvision {torchvision.__version__}, float64. Read by tests/support/golden_file.h.']
    for case in CASES:
        case = {**DEFAULTS, **case}
        model, weights_sum = build(case)
        errors = [kink_error(case, model, seed) for seed in range(args.tries)]
        seed = int(np.argmin(errors))
        images, labels = hw.hash_images(seed, case['batch'], case['size']), hw.hash_labels(seed, case['batch'], case['classes'])
        settings = ' '.join(f'{k} {v if v != "" else "-"}' for k, v in case.items() if k != 'name')
        lines.append(f"case {case['name']} {settings} seed {seed} lr {LEARNING_RATE} f32_gradient_error {errors[seed]:.1e} "
                     f'weights_checksum {weights_sum:016x} images_checksum {hw.checksum(images):016x}')
        x, y = torch.from_numpy(images), torch.from_numpy(labels)

        def values(kind, tensor):
            flat = tensor.reshape(-1).tolist()
            lines.append(f"values {kind} {len(flat)} {' '.join('%.16e' % v for v in flat)}")

        def digest(kind, name, tensor):
            lines.append(f"digest {kind} {name} {' '.join('%.11e' % v for v in hw.digest(name, tensor.detach().numpy()))}")

        with torch.no_grad():
            values('logits_eval', copy.deepcopy(model).eval()(x))
        trained, logits, loss = step(model, case, x, y, torch.float64)
        values('logits', logits)
        values('loss', loss)
        for name, p in trained.named_parameters():
            if p.grad is not None:
                digest('gradient', name, p.grad)
                for form in filter(None, case['adam'].split(',')):
                    digest('adam_' + form, name, adam(p, form))
        before = dict(model.named_buffers())
        for name, b in trained.named_buffers():
            if not name.endswith('num_batches_tracked') and not torch.equal(b, before[name]):
                digest('buffer', name, b)
        print(f"{case['name']}: seed {seed}, f32 gradient error {errors[seed]:.1e} (median of tries {np.median(errors):.1e}), "
              f'logits {logits.abs().max():.3f}, eval {copy.deepcopy(model).eval()(x).abs().max():.3f}, loss {loss:.4f}', flush=True)
    with open(args.out, 'w') as f:
        f.write('\n'.join(lines) + '\n')
    print(os.path.getsize(args.out), 'bytes')


main()
