"""Virtual machine monitors under test, and their running instances."""
