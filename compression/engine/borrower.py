"""What works with a network without keeping it alive: sessions keep networks, results are kept by digests."""

from dataclasses import dataclass
from weakref import ref

from compression.networks.model import FloatModel


@dataclass(eq=False)
class Borrower:
    """Something that works with a network as long as a caller has it. Each look lends it the network of its caller.

    Otherwise what is known of hundreds of networks would keep each of them in memory after its session has ended.
    """

    network: ref[FloatModel]

    @property
    def model(self) -> FloatModel:
        """The network. Raises ReferenceError if no caller has it any more."""
        model = self.network()
        if model is None:
            raise ReferenceError("the network of this work is gone; look again with the network")
        return model

    def lend(self, model: FloatModel) -> None:
        """Lets it work with `model`, which has the same weights as the network before."""
        if self.network() is not model:
            self.network = ref(model)
