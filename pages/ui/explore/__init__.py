"""The page Explore, which is app.py: the metrics and charts that follow its sliders."""
