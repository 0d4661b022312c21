"""A Python prompt with a live NIC."""
