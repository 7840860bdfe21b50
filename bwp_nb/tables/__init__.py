"""Many events."""
