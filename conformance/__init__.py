"""What an EHR vendor or a test runs: a simulated EHR, synthetic patients and their stories.

Nothing here imports Bridge, so that Bridge and the simulated EHR cannot share a misreading of FHIR.
"""
