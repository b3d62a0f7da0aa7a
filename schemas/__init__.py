"""The single source of truth: events, tables, enums and failures. Knows nobody else in the house."""
