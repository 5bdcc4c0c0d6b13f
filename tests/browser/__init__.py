"""A package, so that its fixtures end with it: a running playwright holds an event loop."""
