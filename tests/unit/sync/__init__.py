"""The shell, beside a simulated EHR."""
