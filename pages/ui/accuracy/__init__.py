"""The accuracy of a spec, live, as several pages show it."""
