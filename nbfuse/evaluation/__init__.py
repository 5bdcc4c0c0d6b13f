"""Whether fusing pays, measured on the user's own questions (`nbfuse.evaluate`)."""
