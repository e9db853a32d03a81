"""From client updates to one model, in plain numpy."""
