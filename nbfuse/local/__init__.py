"""Local models: a server of our own in a child process, and the list of what it can serve."""
