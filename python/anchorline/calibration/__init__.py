"""TGC by life stage and site, and the parameters of the smoothed series, fitted from history.

What the anchors of a farm say about its models: `design` puts them in order, `innovations` holds
each against what the series expected of it, `fit` finds the growth and the noise that explain
them best, `database` reads what that takes and keeps every fit.
"""
