"""The common part of VRT and RVRT: checkpointed attention layers, SpyNet, and the terms of their weights."""

from collections.abc import Iterator

from torch import nn

from fedvsr_core.layers.attention_group import AttentionBlock
from fedvsr_core.models.contract import VideoModel


class VideoTransformer(VideoModel):
    """A network of window attention over frames that are aligned by optical flow."""

    beyond_onnx = "attention in windows"
    weights_licence = "CC-BY-NC 4.0: non-commercial use only"

    @property
    def checkpointing(self) -> bool:
        """Whether every attention and feed-forward part is recomputed in the backward pass."""
        return all(block.checkpoint_attention and block.checkpoint_mlp for block in self._attention_blocks())

    @checkpointing.setter
    def checkpointing(self, again: bool) -> None:
        for block in self._attention_blocks():
            block.checkpoint_attention = block.checkpoint_mlp = again

    def _attention_blocks(self) -> Iterator[AttentionBlock]:
        return (module for module in self.modules() if isinstance(module, AttentionBlock))

    def _float_buffers(self) -> frozenset[str]:
        """Tables that the constructor computes."""
        return frozenset(name for name, buffer in self.named_buffers() if buffer.is_floating_point())


def checkpoint_blocks(part: nn.Module, *, attention: bool, mlp: bool) -> None:
    """Set which halves of attention layers are recomputed in the backward pass."""
    for module in part.modules():
        if isinstance(module, AttentionBlock):
            module.checkpoint_attention, module.checkpoint_mlp = attention, mlp
