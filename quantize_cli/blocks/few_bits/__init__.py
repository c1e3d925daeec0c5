"""Types for models that were trained with two, three or four values per weight."""
