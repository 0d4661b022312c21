"""What runs inside a VM and drives the NIC."""
