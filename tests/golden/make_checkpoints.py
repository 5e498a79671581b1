"""Makes tests/golden/checkpoints: what the real torch.save writes of a ResNet-18 with three classes, in the ways in which training scripts save it, and
what torchvision answers. Needs torch, torchvision, numpy; never needed to build dura or to run its tests.

Of each checkpoint only the pickle is kept (NAME.pkl, data.pkl of the zip container): it names the tensors and their storages. The test fills the storages
with the weights of hash_weights.py and zeros, and has the file that torch wrote; this script checks that those are all the values there are.
expected.txt: a line for each, NAME and the three probabilities of picture_formula.picture(64, 64, 3), computed in float64.
"""
import io
import os
import zipfile

import numpy as np
import torch
import torchvision

import hash_weights as hw
from picture_formula import picture

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'checkpoints')


def network(dtype=torch.float32):
    model = torchvision.models.resnet18(weights=None, num_classes=3)
    for name, tensor in model.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            tensor.copy_(torch.from_numpy(hw.hash_tensor(name, tuple(tensor.shape), 18)))
    return model.to(dtype).eval()


def probabilities(model):
    x = torch.from_numpy(picture(64, 64, 3)).double().permute(2, 0, 1)[None] / 255
    mean, deviation = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        return model.double()((x - mean) / deviation).softmax(1)[0].tolist()


def write(name, content, state, model):
    file = io.BytesIO()
    torch.save(content, file)
    with zipfile.ZipFile(file) as archive:
        root = archive.namelist()[0].split('/')[0]
        pickle = archive.read(f'{root}/data.pkl')
        stored = sum(len(archive.read(n)) for n in archive.namelist() if n.startswith(f'{root}/data/'))
        zeros = sum(len(archive.read(n)) for n in archive.namelist() if n.startswith(f'{root}/data/') and not any(archive.read(n)))
    weights = sum(t.numel() * t.element_size() for n, t in state.items() if not n.endswith('num_batches_tracked'))
    assert stored == zeros + weights, (name, stored, zeros, weights)
    with open(os.path.join(OUT, name + '.pkl'), 'wb') as out:
        out.write(pickle)
    return f"{name} {' '.join('%.12e' % p for p in probabilities(model))}"


def main():
    os.makedirs(OUT, exist_ok=True)
    model = network()
    lines = [write('state_dict', model.state_dict(), model.state_dict(), network())]
    # Transfer learning: the optimizer holds moments of the dense layer. Zeros, as before the first step.
    adam = torch.optim.AdamW(model.fc.parameters(), lr=0.0)
    for p in model.fc.parameters():
        p.grad = torch.zeros_like(p)
    adam.step()
    for state in adam.state.values():
        state['step'].zero_()
    content = {'epoch': 12, 'arch': 'resnet18', 'best_acc1': torch.tensor(0.0), 'state_dict': model.state_dict(), 'optimizer': adam.state_dict(),
               'scheduler': torch.optim.lr_scheduler.StepLR(adam, step_size=30).state_dict()}
    lines.append(write('optimizer', content, model.state_dict(), network()))
    parallel = torch.nn.DataParallel(model)
    lines.append(write('data_parallel', {'model_state_dict': parallel.state_dict(), 'loss': 0.25}, parallel.state_dict(), network()))
    lines.append(write('bf16', network(torch.bfloat16).state_dict(), network(torch.bfloat16).state_dict(), network(torch.bfloat16)))
    sequential = network()
    sequential.fc = torch.nn.Sequential(torch.nn.Dropout(0.5), sequential.fc)
    wrapped = {'backbone.' + name: tensor for name, tensor in sequential.state_dict().items()}
    lines.append(write('sequential', {'model': wrapped}, wrapped, network()))
    with open(os.path.join(OUT, 'expected.txt'), 'w') as out:
        out.write('\n'.join(lines) + '\n')


main()
