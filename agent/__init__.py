"""Pasu (파수): the agent on a city's camera recorder."""

__version__ = "0.1.0"
