"""Reading of lists and tables in text form."""
