"""A ClientApp that is killed in the middle of a secure round."""
