"""Which region of a device fails next: an online predictor, and how it is judged.

The predictor itself needs nothing but Python, so that the daemon can use it; judging it reads
Parquet and needs the extra `predict`. See docs/prediction-regions.md.
"""
