"""What follows from a formula: its derivatives, its simplest form, its exact values."""
