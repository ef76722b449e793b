"""The coordination core: cases, what changes them, and the rules. Pure; knows no FHIR JSON."""
