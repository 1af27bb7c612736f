"""What the guide says about accuracy, its interval, and when a difference is more than chance."""

TEXT = """\
Accuracy is the share of CIFAR-10's 10,000 test images whose class the network predicts correctly. It is always
measured. While images are still being evaluated you see an **estimate with ±**, which is half of its 95 % confidence
interval at this moment. A number without ± is exact. A result that somebody has already measured appears at once.

**The order of the images.** Compression changes the predictions of images that the float network was unsure of: those
whose largest logit is only slightly larger than the second largest. Therefore images with a small margin mostly come
first, and each of them counts for less, as in a survey that asks some groups more often than others. Because the float
network's predictions are known for all images, only the *change* has to be estimated. After 1,000 images the error is
about half of a random sample's, provided that the network is not badly broken.

**At this moment.** The interval holds the final value in 95 % of cases if you look once. Whoever watches it narrow
looks many times, and in about a fifth of all counts the interval leaves out the final value at some moment. Do not
stop a count because the interval has just reached the answer that you hoped for.

**Significant, or chance?** Suppose a network loses 30 images and gains 20. Would it also be worse on other images?
McNemar's test assumes that a loss and a gain are equally likely, and computes how often a difference at least this
large would then occur: the p-value. If it is less than 5 %, the page calls the change significant, or more than chance.

**Many comparisons.** At 5 %, one in twenty comparisons of equal networks is called significant. Of the 28 pairs of
eight pinned networks one such pair is to be expected. Therefore the p-values of *Compare* are corrected by Holm's
method: a value below 5 % is significant whatever the other pairs are. The best of many networks has also been lucky
with these images. If one network is tested against the best of 64 equal ones, the plain test calls the best one better
in almost 40 % of cases. *Equal bytes* therefore multiplies the p-value by the number of networks from which the winner
was picked, and a *Search* tests its winner on images by which it was not picked.
"""
