"""The Linux guest: a small initramfs driven over SSH."""
