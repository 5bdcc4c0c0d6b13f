"""Which of several models or pools to use: evidence, reviewers who quote it, and kept votes."""
