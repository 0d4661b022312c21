"""What a test stands on: a VM, its NICs, and what they are plugged into."""
