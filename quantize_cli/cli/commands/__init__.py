"""The commands: a file for each, with its arguments, its help and what it does; app.py has the table of them."""
