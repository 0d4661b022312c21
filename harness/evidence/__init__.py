"""What is made of a test while its VM lives: verdict, timeline, bundle, the line that repeats it."""
