"""The shell: read, take in, deliver; the only part of Bridge that talks to an EHR."""
