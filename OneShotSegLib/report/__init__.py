"""The HTML report of a study: its content, its figures, its templates."""
