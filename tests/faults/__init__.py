"""Named scenarios of what Bridge must survive; ``scenarios.toml`` says which tests hold each."""
