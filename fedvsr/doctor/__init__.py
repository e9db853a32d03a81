"""What is wrong with a machine of a federation, and the remedy: a finding for each thing looked at."""
