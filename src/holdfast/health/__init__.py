"""Is the system well."""
