"""A nested machine for hosts whose KVM cannot run a stock kernel."""
