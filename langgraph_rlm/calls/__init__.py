"""What cells may call, and the one door they call it through."""
