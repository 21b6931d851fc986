"""Documents out of files: folders walked, formats read."""
