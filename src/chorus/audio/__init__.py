"""Samples: formats, codecs, resampling, pacing, mixing and recording. Knows no call."""
