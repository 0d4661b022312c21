"""The reproducers of cloud-hypervisor issues 8306 and 8307."""
