"""What the user wrote: expressions, the vocabulary, text and functions to formulas."""
