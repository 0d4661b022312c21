"""The firmware guest: UEFI, then iPXE, which boot over the network with a driver that knows one pair."""
