"""What Bridge costs, measured in ratios of one run; never part of the tests."""
