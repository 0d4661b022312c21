"""What a run leaves behind: results, matrix, reports."""
