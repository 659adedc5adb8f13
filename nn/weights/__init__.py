"""tensorgraph.nn.weights: files that other libraries wrote, read into dictionaries of arrays.

One file per format: caffe.py (with the wire format of protocol buffers in wire.py), caffe_network.py (a `.prototxt` as
a module; text in prototext.py, layers in caffe_layers.py) and torch_file.py. `nn.load` sees from the content which
reader a file of weights needs. Nothing in a file is executed, and every size is checked against the size
of the file.
"""

from tensorgraph.nn.weights.caffe import read_caffemodel
from tensorgraph.nn.weights.caffe_network import CaffeNetwork, read_prototxt
from tensorgraph.nn.weights.torch_file import read_torch

__all__ = ["CaffeNetwork", "read_caffemodel", "read_prototxt", "read_torch"]
