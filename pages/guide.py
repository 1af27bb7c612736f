"""The guide: what the numbers of the laboratory mean, and what they stand on."""

from enum import StrEnum

import streamlit as st

import pages.ui.supported  # noqa: F401
from compression.spec import Calibration, Clip, Criterion, Rounding, Scheme, Structure, Unit
from pages.ui.frame import frame
from pages.ui.guide import accuracy
from pages.ui.settings import methods


def explain_all(methods_of: type[StrEnum]) -> None:
    """Shows the explanation of every member."""
    for member in methods_of:
        methods.explain(member)


frame.open_page("What the numbers mean")
st.title("What the numbers mean", anchor=False)

st.header("Accuracy", anchor=False)
st.markdown(accuracy.TEXT)

st.header("Networks", anchor=False)
st.markdown(
    """
The same slider has a different effect on each network. A network with weights to spare survives pruning that ruins a
small one. A depthwise convolution has nine weights per channel, and every channel has its own range. The **spread** on
a network's card is the largest weight of the widest channel divided by the largest weight of the median channel. If it
is large, one scale per tensor is too coarse for most channels.

**Normalisation** is part of a network: images must be normalised as they were in training, and the wrong mean and
standard deviation cost up to a point without any warning. The known ones are tried on 2,000 training images or more,
until the two lowest losses differ by three standard errors of their difference, image by image. The one with the lowest
loss is used. If two cannot be told apart with 10,000 images, or the network was pruned, both are named and you choose.
Without training images the test images are used, and the page says so, because the same images are counted afterwards.
"""
)

st.header("Bits per weight", anchor=False)
st.markdown("A quantizer turns weights into whole numbers (codes), and codes back into weights:")
st.latex(r"q = \mathrm{round}(w / s) + z, \qquad \hat w = (q - z)\, s")
st.markdown(
    """
With an integer zero point *z*, a weight of zero stays exactly zero. If no code stands for zero, a pruned weight needs a
mask to stay zero, and the size counts that mask. Some schemes have a codebook of values instead of equal steps.
"""
)
explain_all(Scheme)

st.header("Clipping range", anchor=False)
st.markdown(
    """
A single weight far from the others makes the steps larger for all of them. Therefore the range may be clipped: weights
beyond it get the value at its end. The range with the smallest squared error does not always give the best accuracy.

Such outliers are also the reason why one scale *per output channel* keeps more accuracy than one scale per tensor. It
costs four bytes per channel. Biases and batch norm stay in float32, unless you choose another format for them.
"""
)
explain_all(Clip)

st.header("Rounding", anchor=False)
st.markdown(
    """
All but nearest rounding look at 1,000 training images, without their labels, to keep the outputs of each layer. The
**rate penalty** of rate-aware rounding says how much error is worth one bit per weight: the errors of the outputs of
all layers, as shares of their energy, are added up. More of it gives a smaller file and a less accurate network.
"""
)
explain_all(Rounding)

st.header("Activation bits", anchor=False)
st.markdown(
    """
Integer hardware multiplies integers by integers, so the inputs of a convolution or a linear layer are quantized too:
affinely, with one scale and one zero point per layer. Calibration chooses the range beforehand, from the inputs that
the float network produces for 1,000 training images. For the bundled networks this has been done already.
"""
)
explain_all(Calibration)

st.header("Batch norm", anchor=False)
st.markdown(
    """
When a network is deployed, batch norm is **folded** into the convolution before it. Fold first, then quantize. In the
other order the folded weights no longer lie on the quantizer's values and must be rounded again. With one scale per
output channel that changes nothing, because folding only changes the scales. With one scale per tensor it costs
accuracy.

Pruned and quantized layers produce other means and variances than those that batch norm has stored. **Re-estimating**
them on 1,000 training images, without labels, often restores much of the accuracy. It is a method of its own, so it is
a switch and never happens silently.
"""
)

st.header("Pruning", anchor=False)
st.markdown(
    """
The weights with the lowest scores become zero: all below a threshold, or exactly as many as a sparsity target asks
for. With the pruning scope *global* all weights compete, and large layers lose more of them. With *layer* every layer
loses the same share. The network is not trained afterwards, so you see the full damage.

**Pruning granularity.** Scattered zeros make files smaller, but nothing faster. Whole filters can be removed from the
network, which makes it faster too. The page verifies each removal: it runs the smaller network and the one with the
zeros side by side.
"""
)
explain_all(Structure)
st.markdown("**The importance criterion** gives every weight or filter its score. The lowest scores are pruned first:")
explain_all(Criterion)
st.markdown("**The unit of a threshold** is one of these:")
explain_all(Unit)
st.markdown(
    """
**Merging.** Filters of a layer that are nearly equal are replaced by one filter, their mean, and the next layer adds up
the inputs that came from them. They were not exactly equal, so this costs accuracy, which is measured like everything
else.
"""
)

st.header("Layer by layer", anchor=False)
st.markdown(
    """
A **scan** compresses one layer, keeps all others in float, and does the same with the next layer. The accuracy drop is
the layer's sensitivity. Bits can then be **assigned** to layers so that the sum of their losses is as small as possible
within a budget. That losses add up is an assumption; the accuracy shown beside it is measured with all layers
compressed together.
"""
)

st.header("Size", anchor=False)
st.markdown(
    """
The **size** of a network is that of its packed file on disk, to the byte, header included (1 kB is 1,000 bytes): see
*Files*. With "≈" before it, it is an estimate of a few percent from a quicker coding; the exact number follows. It is
compared with float32, in which networks are trained: four bytes for every number that inference reads.

The **in-memory size**, in the tooltip, counts the packed weights and everything that is needed to read them, before
entropy coding. **Dense** stores every code, packed at *b* bits. **Sparse** stores one bit per weight that says whether
the weight is zero, and the codes of the others. The smaller of the two is shown. Scales, zero points and the float32
rest are part of both. Because of the one bit per weight, 90 % zeros do not make a network ten times smaller.
"""
)

st.header("Files", anchor=False)
st.markdown(
    """
The **packed file**, on the page *Deploy*, is the network on disk. Each weight tensor is stored in the shortest of five
codings: packed codes; a bitmap and the nonzero codes; gaps between nonzero weights; entropy coding, which gives
frequent codes fewer bits; or entropy coding with contexts, where what is frequent depends on the weights around.
Scales, biases and batch norm are entropy coded too, without loss. Nothing is lost: the file that you can download has
been read again and compared, number by number, with the network that was evaluated. In Python,
`sq.load_compressed(path)` after `import compression as sq` reads the file.

The **order-0 bound** is the entropy of the codes: the fewest bits of any coding that looks at each weight alone,
whatever its neighbours. Coding with contexts can take less. If 90 % zeros make a file less than ten times smaller, the
chart shows what takes the other bytes.

**ONNX** is for running a network elsewhere. *As set* computes in float, with weights of few values. *Int8* computes in
integers: weights and inputs of layers have 8 bits, with the codes and scales that are simulated here. Where two layers
are added, the runtime goes back to float, and the conversions move bytes of their own. In an *int8 chain* these sums
are integers too. Scattered zeros make an ONNX file neither smaller nor faster; removed filters do.
"""
)

st.header("Speed", anchor=False)
st.markdown(
    """
Milliseconds are measured with ONNX Runtime on the machine that serves this page, in a process of its own, with all
files in turns: the median and the 90th percentile. **Bytes moved**, for one image, counts each weight once and all
inputs and outputs of every operation. Few bits are faster only if the processor can multiply small integers directly,
and if little has to be converted on the way.
"""
)

st.header("Trade-offs", anchor=False)
st.markdown(
    "A compressed network is on the **Pareto front** if no other measured network is at least as accurate with fewer "
    "bytes, or more accurate with as few. All points were measured, on all 10,000 test images, with the bytes of the "
    "real file; nothing is interpolated between them.\n\n"
    "**Measured beforehand** are the results that come with the networks of the project. They hold for these weights "
    "and for the code that computes them. If either has changed, the page does not show them and says so.\n\n"
    "**Search and overfitting.** Whoever tries many networks on the same images and takes the best has also taken the "
    "luckiest, and on other images it does worse. Therefore a search sees only every second test image, and its winner "
    "is reported on the held-out half. The points of a sweep are measured on all images; choosing among them is a "
    "search, too."
)

st.header("Bit operations", anchor=False)
st.markdown(
    """
Bit operations are the multiply-accumulates of one image, times the bits of the weight, times the bits of the activation
(32 if it stays float). They show what hardware built for few bits could save. Zeros count, because ordinary kernels
multiply them like any other number.
"""
)
