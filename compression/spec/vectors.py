"""How the vectors of a network, biases and batch norm, are stored: `VectorFormat`."""

from enum import StrEnum


class VectorFormat(StrEnum):
    """The numbers of biases and batch norm; see `quantization.vectors`. They are evaluated as they are stored."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"

    @property
    def bits(self) -> int:
        """The bits of each number."""
        return {VectorFormat.FLOAT32: 32, VectorFormat.INT8: 8}.get(self, 16)
