"""From a case to outgoing FHIR: Tasks and Communications, what to write and what to leave alone. Pure."""
