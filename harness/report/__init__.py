"""What people read of a run: matrix, page, summary."""
