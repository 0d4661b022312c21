"""The probe guest: a bare-metal monitor, and the virtio-net driver that works through it."""
