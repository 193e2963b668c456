"""Conditions by area: texts in both languages, severity, and what they depend on."""
