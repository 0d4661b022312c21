"""The host's side: namespaces, taps, flows, and the witnesses that watch them."""
