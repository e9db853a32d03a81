"""Every choice, as Hydra groups; read only by ``fedvsr_core.config``."""
