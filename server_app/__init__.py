"""The ServerApp: knows rounds."""
