"""Types, events and errors: what every floor above speaks. Knows nothing of HTTP or Jupyter."""
