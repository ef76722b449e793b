"""FHIR itself: wire formats, references, times, and the HTTP client. Knows nothing of cases."""
