"""The report of a run as one HTML page; its parts are Python modules, since Flower's bundle takes no HTML."""
