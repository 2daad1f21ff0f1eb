"""Training, evaluation, files and pictures."""
