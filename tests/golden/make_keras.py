"""Makes tests/golden/keras: small files that the real Keras wrote, and what the real Keras' ResNet50 answers. Needs keras with a backend, h5py, numpy; never
needed to build dura or to run its tests.

small.weights.h5, small.h5, small_whole.h5: a ResNet of Keras' own building blocks (keras.applications.resnet) with few filters, written in the three ways:
save_weights of Keras 3, one group a layer as Keras 2 wrote, and a whole model. Every variable has the values of hashed(layer, name).
small_early.weights.h5: save_weights of Keras 3.0, whose layers have numbers and no names; run with it, this writes nothing else.
expected.txt: three probabilities of ResNet50(classes=3, 64x64) with the weights of hash_weights.py for picture_formula.picture(64, 64, 3) after Keras'
preprocess_input.
"""
import os

import h5py
import keras
import numpy as np
from keras.src.applications import resnet
from keras.src.legacy.saving import legacy_h5_format

import hash_weights as hw
from picture_formula import picture

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'keras')
EARLY = keras.__version__.startswith('3.0.')


def torch_name(layer):
    """conv2_block1_0_conv -> layer1.0.downsample.0"""
    if '_block' not in layer:
        return {'conv1_conv': 'conv1', 'conv1_bn': 'bn1'}.get(layer, 'fc')
    stage, block, place, kind = layer.split('_')
    of_block = f'layer{int(stage[4:]) - 1}.{int(block[5:]) - 1}.'
    if place == '0':
        return of_block + ('downsample.0' if kind == 'conv' else 'downsample.1')
    return of_block + kind + place


def torch_variable(variable):
    return {'kernel': 'weight', 'gamma': 'weight', 'bias': 'bias', 'beta': 'bias', 'moving_mean': 'running_mean', 'moving_variance': 'running_var'}[variable]


def hashed(layer, variable, shape):
    """The values of torchvision's tensor, in Keras' layout."""
    name = torch_name(layer) + '.' + torch_variable(variable)
    if len(shape) == 4:
        h, w, c, k = shape
        scale = 1 / 64 if layer == 'conv1_conv' else 1  # Keras' pixels are not divided by a deviation
        return hw.hash_tensor(name, (k, c, h, w), 50).transpose(2, 3, 1, 0) * scale
    if len(shape) == 2:
        return hw.hash_tensor(name, shape[::-1], 50).T
    return hw.hash_tensor(name, shape, 50)


def fill(model):
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(hashed(layer.name, variable.path.split('/')[-1], tuple(variable.shape)).astype(np.float32))


def small():
    def stacks(x):
        x = resnet.stack_residual_blocks_v1(x, 1, 2, stride1=1, name='conv2')
        return resnet.stack_residual_blocks_v1(x, 2, 1, name='conv3')

    names = {'model_name': 'small'} if EARLY else {'weights_name': 'small', 'name': 'small'}
    model = resnet.ResNet(stacks, False, True, **names, weights=None, input_shape=(32, 32, 3), classes=3)
    fill(model)
    return model


def main():
    os.makedirs(OUT, exist_ok=True)
    model = small()
    if EARLY:
        model.save_weights(os.path.join(OUT, 'small_early.weights.h5'))
        return
    model.save_weights(os.path.join(OUT, 'small.weights.h5'))
    with h5py.File(os.path.join(OUT, 'small.h5'), 'w') as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    model.compile('adam', 'categorical_crossentropy')
    model.save(os.path.join(OUT, 'small_whole.h5'))

    model = resnet.ResNet50(weights=None, input_shape=(64, 64, 3), classes=3)
    fill(model)
    x = resnet.preprocess_input(picture(64, 64, 3)[None].astype(np.float32))
    with open(os.path.join(OUT, 'expected.txt'), 'w') as out:
        out.write(' '.join('%.9e' % p for p in model.predict(x, verbose=0)[0]) + '\n')


if __name__ == '__main__':
    main()
