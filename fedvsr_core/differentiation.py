"""Functions that have a gradient, and say so where the gradient of that gradient is asked for."""

import torch


def refuse_second_derivatives(name: str) -> None:
    """To be called where a gradient that is written by hand is computed.

    Such a gradient is a constant to autograd, which would leave it out of second derivatives without a word.

    Args:
        name: Of the function, for the error.

    Raises:
        RuntimeError: If a graph of the gradient is being made, as ``create_graph=True`` asks for.
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        raise RuntimeError(
            f"{name} has a first derivative only, but create_graph=True asks for a second one; leave it out"
        )
