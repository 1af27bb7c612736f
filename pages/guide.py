"""What the numbers of the laboratory mean, and what they stand on."""

from enum import StrEnum

import streamlit as st

import pages.ui.supported  # noqa: F401
from compression.spec import Calibration, Clip, Criterion, Scheme, Structure, Unit
from pages.ui.frame import frame
from pages.ui.settings import methods


def _methods(enum: type[StrEnum]) -> None:
    """The words of all members."""
    for member in enum:
        methods.explain(member)


frame.open_page("What the numbers mean")
st.title("What the numbers mean", anchor=False)

st.header("Accuracy", anchor=False)
st.markdown(
    """
The share of CIFAR-10's 10,000 test images whose class the network gets right. It is counted, never modelled. While
images are still being counted you see an **estimate with ±**, half of its 95 % interval: in 95 of 100 such cases the
accuracy on all 10,000 lies within. It narrows while you look, and without ± it is exact. What was counted once, by
anybody, is there at once.

**Which images come first** is no accident. Compression flips the images that the float network was unsure of: those
whose largest logit is hardly larger than the second. So images with a small margin mostly come first, and each counts
for less, as in a survey that asks some groups more often than others. That the float network's answer is known for all
images makes the estimate sharp: only the *change* is estimated. After 1,000 images the error is about half of that of a
plain sample, as long as the network is not badly broken.

**Real, or chance?** If a network loses 30 images and wins 20, would it be worse on other images too? McNemar's test
asks how often chance alone would part lost and won that far, were either as likely. Below 5 % the change is called
real.
"""
)

st.header("Networks", anchor=False)
st.markdown(
    """
The same slider does something else to each. A network with weights to spare survives pruning that ruins a tight one.
A depthwise convolution has nine weights a channel, and each channel its own range: the **spread** on a network's card
is the largest weight of its widest channel over that of its median channel, and where it is large, one scale for the
whole tensor is too coarse for most channels.

**Normalisation** is part of a network: images must come in as they came in training, and the wrong mean and deviation
silently cost up to a point. For a checkpoint whose normalisation nobody wrote down, the known ones are tried on
500 images, and the one with the lowest loss is taken.
"""
)

st.header("Bits", anchor=False)
st.markdown("A quantizer turns weights into whole numbers, and whole numbers back into weights:")
st.latex(r"q = \mathrm{round}(w / s) + z, \qquad \hat w = (q - z)\, s")
st.markdown(
    """
With an integer zero point *z* a weight of zero stays exactly zero. Where no code stands for zero, a weight that was
pruned needs a mask to stay there, and the size counts it. Some schemes have values of their own in place of even steps.
"""
)
_methods(Scheme)

st.header("Range", anchor=False)
st.markdown(
    """
One weight that is far out makes even steps coarse for all others; so the range may be cut, and what lies beyond goes
to its ends. What a network minds most is not always the squared error.

Outliers are also why one scale *for each output channel* keeps more accuracy than one for the whole tensor, for four
bytes a channel. Biases and batch norm stay float32.
"""
)
_methods(Clip)

st.header("Activations", anchor=False)
st.markdown(
    """
Integer hardware multiplies integers with integers: what comes into a convolution or a linear layer is quantized too,
affinely, with one scale and one zero point a layer. Its range is fixed beforehand, from what the float network sees of
1,000 training images. For the networks that come along, that has been looked at already.
"""
)
_methods(Calibration)

st.header("Batch norm", anchor=False)
st.markdown(
    """
Where networks are deployed, batch norm is **folded** into the convolution before it, and that must come before
quantizing. In the other order the folded weights are off their grid and have to be rounded once more; with a scale for
each output channel that changes nothing, for folding only moves the scales, but with one for the tensor it hurts.

Pruned and quantized layers give other means and variances than those that batch norm goes by. To **re-estimate** them
on 1,000 training images, without their labels, wins much back, and is a help of its own: it is a switch, never hidden.
"""
)

st.header("Pruning", anchor=False)
st.markdown(
    """
What scores least becomes zero: all below a threshold, or exactly as many as a sparsity target asks for. With
the scope *global* all weights compete and large layers lose more; with *layer* every layer loses the same
share. Nothing is trained afterwards here: what you see is the damage itself.

**What goes as one.** Zeros that are scattered make files smaller, and nothing faster; whole filters can be taken out
for good. That is done only where it is proved: the smaller network and the one with the zeros are run side by side.
"""
)
_methods(Structure)
st.markdown("**What goes first** is what scores least by a criterion:")
_methods(Criterion)
st.markdown("**A threshold** counts in one of these:")
_methods(Unit)
st.markdown(
    """
**Merging.** Filters of a layer that are nearly equal become one, their mean, and the next layer adds up the inputs that
came from them. Near is not equal, and what that costs is counted like anything else.
"""
)

st.header("Layer by layer", anchor=False)
st.markdown(
    """
A **scan** compresses one layer and leaves all others float, then the next: what that costs is the layer's sensitivity.
Bits can then be **assigned** so that the losses of the layers add up to the least within a budget. That they add up is
an assumption; the accuracy beside it is counted with all of them together.
"""
)

st.header("Size", anchor=False)
st.markdown(
    """
The bytes of the packed weights and of all that is needed to read them, counted and not estimated (1 kB is 1,000
bytes). A file's header comes on top, and entropy coding takes some off: see *Files*. The comparison is with float32, as
networks are trained. **Dense**: every code, packed at *b* bits. **Sparse**: one bit a weight that says whether it is
zero, and the codes of the others. The smaller of the two is shown. Scales, zero points, and the float32 rest are in
both. That mask of one bit a weight is why 90 % zeros do not make a file ten times smaller.
"""
)

st.header("Files", anchor=False)
st.markdown(
    """
The **packed file**, on the page *Deploy*, is the network on the disk: each weight in the shortest of four codings
(packed codes; a bitmap and what is left; gaps from one weight that is left to the next; entropy coding, which gives
frequent codes fewer bits). Nothing is lost: the file that you are offered has just been read again and compared with
what was evaluated, number by number. `compression.files.packed_file.load_compressed(path)` gives the network back.

The **order-0 bound** is the entropy of the codes: what any coding takes at least that writes one weight after another.
Where 90 % zeros make a file less than ten times smaller, the chart shows what the other bytes are for.

**ONNX** is for those who run a network elsewhere. *As set* computes in float, with weights of few values. *Int8*
computes in integers: weights and inputs of layers have 8 bits, with the codes and scales that are simulated here. Where
a sum comes between two layers, the runtime goes back to float, and conversions move bytes of their own; in an *int8
chain* these sums become integers too. Scattered zeros make an ONNX file no smaller and no faster; filters that are
taken out do.
"""
)

st.header("Speed", anchor=False)
st.markdown(
    """
Milliseconds are those of ONNX Runtime on the machine that serves this page, measured in a process of its own, all files
in turns: the median and the 90th percentile. **Bytes moved**: for one image, each weight once, and all that goes into
and comes out of every operation. Few bits are faster only where the processor multiplies small integers at once, and
where little is converted on the way.
"""
)

st.header("Trade-offs", anchor=False)
st.markdown(
    "A compressed network is on the **Pareto front** if no other one that was measured is more accurate with as "
    "few bytes. Points are only what was measured, on all 10,000 test images, with the bytes of the real file; "
    "nothing is drawn between them.\n\n"
    "**Measured beforehand** is what comes with the five networks. It holds for their weights and for the code "
    "that computes: where either has changed, it is not shown.\n\n"
    "**Search and overfitting.** Whoever tries many networks on the same images and takes the best has also taken "
    "the luckiest: on other images it does worse. So a search sees every second test image, and its winner is "
    "reported on the half that it never saw. The points of a sweep are on all images; to pick among them is to "
    "search, too."
)

st.header("Bit operations", anchor=False)
st.markdown(
    """
Multiply-accumulates of one image, times bits of the weight, times bits of the activation (32 where it stays float). It
tells what hardware made for few bits could save. Zeros are not left out, because ordinary kernels multiply them all the
same.
"""
)
