"""The ClientApp: knows one site's data."""
