"""The API played in this process."""
