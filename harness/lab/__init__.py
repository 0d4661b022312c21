"""The lab: a machine emulated by QEMU in which real KVM works, for hosts whose own KVM cannot do what a test needs.

test process or ci/lab ──> client ──socket──> keeper ──virtio-serial──> agent ──fork──> run
       on the host                    on the host  │                        in the lab
                                                   └── owns QEMU, watches that it answers
"""
