"""From an audio file to a spectrogram in a batch; knows nothing of models."""
