"""How good the predictor of regions is, over a real background, with failures put on it."""
