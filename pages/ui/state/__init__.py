"""All settings of the laboratory as one frozen value, its link, and the session that holds it."""
