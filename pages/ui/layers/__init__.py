"""The page Layers: settings for single layers, their sensitivity, and recipes."""
