"""What the numbers of the laboratory mean, and what they stand on."""

import streamlit as st

import pages.ui.supported  # noqa: F401
from pages.ui import frame

frame.open_page("What the numbers mean")
st.title("What the numbers mean", anchor=False)

st.header("Accuracy", anchor=False)
st.markdown(
    """
The share of CIFAR-10's test images whose class the network gets right. It is counted, never modelled: at once
on the first 1,000 images, and on all 10,000 when you ask for it. The images are in an order that has nothing to
do with their content, so the first 1,000 are a fair sample.

**The interval** is Wilson's 95 % interval for a proportion. With 1,000 images it is up to 3.1 points
wide on each side (1.7 where 92 % are right), with 10,000 up to 1.0 (0.5). **The change** compares the same
images, so it is much sharper than the difference of two intervals.
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
    r"""
| scheme | scale $s$ | zero point $z$ | codes with $b$ bits |
|---|---|---|---|
| symmetric | $\max \lvert w \rvert \,/\, (2^{b-1} - 1)$ | 0 | $-(2^{b-1}-1)$ to $2^{b-1}-1$ |
| affine | $(\max w - \min w) / (2^b - 1)$, range widened to hold 0 | $\mathrm{round}(-\min w / s)$ | 0 to $2^b - 1$ |

A weight of zero stays exactly zero in both. One outlier stretches the scale for all weights that share it:
that is why one scale *for each output channel* keeps more accuracy than one for the whole tensor, for four bytes a
channel. Biases and batch norm stay float32.
"""
)

st.header("Pruning", anchor=False)
st.markdown(
    """
Weights of small magnitude become zero: all below a threshold, or exactly as many as a sparsity target asks for. With
the scope *global* all weights compete and large layers lose more; with *layer* every layer loses the same
share. Nothing is trained afterwards here: what you see is the damage itself.
"""
)

st.header("Size", anchor=False)
st.markdown(
    """
The bytes of the packed weights and of all that is needed to read them, counted and not estimated (1 kB is 1,000
bytes). A file's header would come on top, entropy coding could take some off. The comparison is with float32, as
networks are trained. **Dense**: every code, packed at *b* bits. **Sparse**: one bit a weight that says whether it is
zero, and the codes of the others. The smaller of the two is shown. Scales, zero points, and the float32 rest are in
both. That mask of one bit a weight is why 90 % zeros do not make a file ten times smaller.
"""
)

st.header("Bit operations", anchor=False)
st.markdown(
    """
Multiply-accumulates of one image, times bits of the weight, times bits of the activation (32 here). It tells what
hardware made for few bits could save. Zeros are not left out, because ordinary kernels multiply them all the same.
"""
)
