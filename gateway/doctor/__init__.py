"""Looks at the box, the configuration and the far ends, and says what is wrong and what to do."""
