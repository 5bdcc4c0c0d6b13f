"""A result as HTML, Markdown and plain text. Model text is untrusted here, always."""
