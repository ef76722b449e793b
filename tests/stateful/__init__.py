"""Orders, repeats and crashes."""
