"""How to compute a formula well: rewriting, judged by measuring it against exact values."""
