"""Many runs of the suite, to learn what one does not show: ci/soak.

Either each run is struck by a signal somewhere, and what it leaves is looked at (--kill), or runs go on undisturbed
in changing order, with changing workers and load, and every verdict that is not the same each time is named.
"""
