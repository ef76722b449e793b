"""Writing: what is rendered, merged, refused."""
