"""Methods: what turns rows into blocks of a type, beside the reference's own search."""
