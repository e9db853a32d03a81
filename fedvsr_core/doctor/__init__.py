"""What is wrong with a machine of a federation, and the remedy: one finding for each thing that is looked at."""
