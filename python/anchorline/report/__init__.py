"""The growth page: one HTML file that shows how the batches grow, and asks for nothing else."""
