"""A predictor that can be set back to a moment: many trials share one past."""

from dataclasses import replace

from pyctl.predict.regions.predictor import DevicePredictor

__all__ = ["copied"]


def copied(predictor: DevicePredictor) -> DevicePredictor:
    """Another predictor that knows the same."""
    twin = DevicePredictor(predictor.settings, adjacent=predictor.adjacent)
    twin.regions = {key: replace(state) for key, state in predictor.regions.items()}
    return twin
