"""The commands for nights and patches: the gate, its announcements, the merging of shards."""
