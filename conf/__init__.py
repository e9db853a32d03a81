"""Every choice, as Hydra groups; read only by ``server_app.config``."""
