"""Safety lines broken on purpose: a test must fail for each, or the tests are the bug."""
