"""Every run and every answer, kept while it happens."""
