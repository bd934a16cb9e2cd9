"""The OpenAPI document: made from the routes, finished here, given out as OpenAPI 3.0.3.

`document.build` reads top-down what is done; one file per step.
"""
