"""The likely causes of what is wrong with a model: each file has the causes of one kind, and `diagnose` tries them."""
