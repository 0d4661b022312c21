"""The library under the conformance suite: VMMs, guests, the host's witnesses, and the evidence they leave."""
