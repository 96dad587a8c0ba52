"""Finding books that are like each other: learnt from our own catalogue, without a network and now and then anew.

Only `vectors`, `nearest` and `training` need numpy and scikit-learn; they are loaded in a process of their own.
"""
