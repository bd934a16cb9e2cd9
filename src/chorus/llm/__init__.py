"""Language models, behind the Protocol in `model.py`."""
