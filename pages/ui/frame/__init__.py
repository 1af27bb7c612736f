"""What every page has: menu, network picker, state of the data, metrics, and the order in which fragments redraw."""
