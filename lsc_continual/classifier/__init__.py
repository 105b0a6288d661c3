"""A trained classifier and the folder that it lives in."""
